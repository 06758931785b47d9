"""What people look at, drawn from run directories."""
