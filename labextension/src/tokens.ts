// Names by which JupyterLab, and other extensions, know what is here.

/** The extension's first plugin, whose settings are everybody's. */
export const PLUGIN = 'jupyter_mlrun:plugin';
/** The domain of translations. */
export const DOMAIN = 'jupyter_mlrun';

export const COMMANDS = {
  /** `{run, workspace?, place?}`: opens the run's document */
  open: 'jupyter-mlrun:open-run',
  /** `{runs}`: opens runs beside one another */
  compare: 'jupyter-mlrun:compare',
  /** shows the list */
  show: 'jupyter-mlrun:show-runs',
  /** `{runs}` */
  stop: 'jupyter-mlrun:stop',
  /** `{runs}`: asks first */
  delete: 'jupyter-mlrun:delete',
  /** `{run}` */
  rerun: 'jupyter-mlrun:rerun',
  /** `{run}`: asks for the name */
  rename: 'jupyter-mlrun:rename',
  /** `{run}`: asks for the tags */
  tag: 'jupyter-mlrun:tag',
  /** `{run}`: asks for name and file */
  register: 'jupyter-mlrun:register-model',
  /** `{run}` */
  openTab: 'jupyter-mlrun:open-in-new-tab',
  /** `{run}` */
  copyId: 'jupyter-mlrun:copy-id',
  /** asks how the active cell is to run, and submits it */
  submitForm: 'jupyter-mlrun:submit-form',
  /** `{query}`: one list in the page of its own */
  page: 'jupyter-mlrun:open-page'
} as const;
