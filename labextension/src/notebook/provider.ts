// Completion in lines of `%%submit`, `%submit` and `%upload_data`, with what the server knows.

import type { CompletionHandler, ICompletionContext, ICompletionProvider } from '@jupyterlab/completer';
import type { SubmitForm } from '../api.js';
import type { HttpServer } from '../source/http.js';
import { magicAt, offerAt } from './complete.js';

/** Milliseconds for which an answer counts. */
const FRESH = 5000;

export class SubmitCompletions implements ICompletionProvider {
  readonly identifier = 'jupyter_mlrun:submit';
  readonly rank = 1100;
  private asked: { at: number; cell: string; form: Promise<SubmitForm> } | null = null;

  constructor(private readonly server: HttpServer) {}

  async isApplicable(context: ICompletionContext): Promise<boolean> {
    const { editor } = context;
    if (!editor) {
      return false;
    }
    return magicAt(editor.model.sharedModel.getSource(), editor.getOffsetAt(editor.getCursorPosition())) !== null;
  }

  async fetch(request: CompletionHandler.IRequest): Promise<CompletionHandler.ICompletionItemsReply> {
    const none = { start: request.offset, end: request.offset, items: [] };
    const form = await this.form(request.text).catch(() => null);
    const offer = form && offerAt(request.text, request.offset, form);
    return offer
      ? {
          start: offer.start,
          end: offer.end,
          // the label as it is written: JupyterLab looks in the labels for what the written ones begin with, a quote too
          items: offer.choices.map(({ insert, kind, about }) => ({ label: insert, insertText: insert, type: kind, documentation: about }))
        }
      : none;
  }

  private form(text: string): Promise<SubmitForm> {
    const now = performance.now();
    const cell = text.slice(0, 4000);
    if (!this.asked || now - this.asked.at > FRESH || this.asked.cell !== cell) {
      const form = this.server.ask<SubmitForm>('GET', 'api/complete', { cell });
      this.asked = { at: now, cell, form };
      form.catch(() => (this.asked = null));
    }
    return this.asked.form;
  }
}
