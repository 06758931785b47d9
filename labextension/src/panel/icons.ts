// Our own pictures in JupyterLab's colours.

import { LabIcon } from '@jupyterlab/ui-components';

const picture = (name: string, inside: string): LabIcon =>
  new LabIcon({
    name: `jupyter_mlrun:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161">${inside}</g></svg>`
  });

/** A curve that goes on: runs. */
export const runsIcon = picture(
  'runs',
  '<path d="M3 3h2v16h16v2H3z"/><path d="M7.2 17.2 6 15.6l5-4.6 3.2 2.6 5.3-6.1 1.5 1.3-6.6 7.6-3.3-2.7z"/><circle cx="20" cy="7" r="2.4"/>'
);

/** The same, sent away: submit. */
export const submitIcon = picture('submit', '<path d="M3 20v-6.5L11 12 3 10.5V4l19 8z"/>');
