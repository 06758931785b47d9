// The server of runs that belongs to this JupyterLab: one for all that is in the page, so that there is one channel.

import { ServerConnection } from '@jupyterlab/services';
import { HttpServer } from './http.js';

const made = new Map<string, HttpServer>();

/** The server behind these settings; the same object each time. */
export function labServer(settings: ServerConnection.ISettings = ServerConnection.makeSettings()): HttpServer {
  let server = made.get(settings.baseUrl);
  if (!server) {
    server = new HttpServer({
      baseUrl: settings.baseUrl,
      wsUrl: settings.wsUrl,
      ...(settings.token ? { token: settings.token } : {})
    });
    made.set(settings.baseUrl, server);
  }
  return server;
}
