"""The version, as a constant: reading the installed metadata would cost 20 ms at each import.

package.json is where it is decided; tests/test_public_api.py fails when the two differ.
"""

__version__ = "0.1.0"
