// How a run ended: why, where in the cell or the code, what it said last, and what may help.

import type { End, RunFull, TraceLine } from '../api.js';
import { plain } from '../view/ansi.js';
import { button, h } from '../view/dom.js';
import { t } from '../view/words.js';
import { codeView, excerpt } from './codeview.js';

export interface EndActions {
  /** open a file of the snapshot at a line */
  code(path: string, line: number): void;
  /** run again with an option, such as `--memory 16GB`; null where the reader may not */
  rerun: ((hint: string) => void) | null;
  logs(): void;
}

/** The panel of a run that did not end well; null for one that did. */
export function endView(run: RunFull, actions: EndActions): HTMLElement | null {
  const end = run.end;
  if (!end || end.status === 'Completed') {
    return null;
  }
  const look = end.status === 'Canceled' ? 'dim' : 'bad';
  const panel = h('section', { class: 'end', 'data-look': look, 'aria-label': t('How it ended') });
  panel.append(h('h3', {}, end.reason || end.status), h('p', { class: 'how' }, how(end)));
  if (end.error && !end.reason.includes(end.error)) {
    panel.append(h('pre', { class: 'error' }, end.error));
  }
  panel.append(...trace(run, end, actions), ...lastLines(end, actions));
  if (actions.rerun && end.hints.length) {
    const { rerun } = actions;
    const offers = end.hints.map(hint => {
      const offer = button(t('Rerun with {option}', { option: hint }), null, true);
      offer.addEventListener('click', () => rerun(hint));
      return offer;
    });
    panel.append(h('div', { class: 'offers' }, ...offers));
  }
  return panel;
}

function how(end: End): string {
  const words = [
    end.exit_code === null || /exit code/.test(end.reason) ? '' : t('exit code {n}', { n: end.exit_code }),
    end.signal === null || /signal/.test(end.reason) ? '' : t('signal {n}', { n: end.signal }),
    end.guess ? t('nobody saw the end: this is a guess') : ''
  ];
  return words.filter(Boolean).join(' · ');
}

/** The places, the innermost first as people look for them; where the cell is meant, its lines. */
function trace(run: RunFull, end: End, actions: EndActions): Node[] {
  if (!end.traceback.length) {
    return [];
  }
  const inCell = end.traceback.filter(place => place.cell_line !== null).at(-1);
  const own = inCell ?? end.traceback.filter(place => place.code !== null).at(-1);
  const parts: Node[] = [];
  const piece = inCell?.cell_line && run.cell ? excerpt(run.cell, inCell.cell_line) : null;
  if (inCell?.cell_line && piece) {
    const line = inCell.cell_line;
    parts.push(
      h('h4', {}, t('Line {n} of the cell, below {magic}', { n: line, magic: '%%submit' })),
      codeView(piece.text, t('The cell around line {n}', { n: line }), line, piece.first)
    );
  }
  const places = end.traceback.map(place => h('li', { 'data-own': place === own }, ...where(place, actions)));
  parts.push(h('ol', { class: 'trace', 'aria-label': t('Traceback, innermost call last') }, ...places));
  return parts;
}

function where(place: TraceLine, actions: EndActions): Node[] {
  const named = place.code ?? place.file;
  const label =
    place.cell_line !== null ? t('cell, line {n}', { n: place.cell_line }) : `${named}:${place.line}`;
  const { code } = place;
  let at: HTMLElement = h('span', { class: 'place', title: place.file }, label);
  if (code !== null) {
    at = h('button', { type: 'button', class: 'link place', title: t('Show {path}', { path: code }) }, label);
    at.addEventListener('click', () => actions.code(code, place.line));
  }
  const said: Node[] = [h('div', { class: 'at-line' }, at, place.function ? h('span', { class: 'in' }, place.function) : '')];
  return place.text ? [...said, h('code', {}, place.text)] : said;
}

function lastLines(end: End, actions: EndActions): Node[] {
  if (!end.last_lines.length) {
    return [];
  }
  const more = button(t('Whole log'), null, true);
  more.addEventListener('click', actions.logs);
  const text = end.last_lines.map(plain).join('\n');
  return [
    h('details', { class: 'last', open: end.traceback.length === 0 }, h('summary', {}, t('What it printed last')), h('pre', {}, text)),
    more
  ];
}
