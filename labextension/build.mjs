// Bundles the live view for anywidget, and the pages of the server: for each one ES module and one style sheet, with
// everything in them.  Reads labextension/src/ and labextension/style/; writes jupyter_mlrun/ui/static/ (git-ignored).
// With --demo: also the page on which the view is tested and pictured without Jupyter, to build/demo/.

import { copyFileSync, readFileSync } from 'node:fs';
import { build } from 'esbuild';

const licence = readFileSync('node_modules/uplot/LICENSE', 'utf8').trim();
const shared = { bundle: true, minify: true, format: 'esm', target: 'es2022', legalComments: 'none' };

await build({
  ...shared,
  entryPoints: { widget: 'labextension/src/widget.ts', page: 'labextension/src/page/page.ts' },
  outdir: 'jupyter_mlrun/ui/static',
  banner: { js: `/*! contains uPlot\n${licence}\n*/` }
});
await build({
  ...shared,
  entryPoints: { widget: 'labextension/style/widget.css', page: 'labextension/style/page.css' },
  outdir: 'jupyter_mlrun/ui/static'
});
if (process.argv.includes('--demo')) {
  await build({
    ...shared,
    minify: false,
    entryPoints: { demo: 'labextension/demo/demo.ts' },
    outdir: 'build/demo'
  });
  for (const file of ['index.html', 'demo.css']) {
    copyFileSync(`labextension/demo/${file}`, `build/demo/${file}`);
  }
  for (const file of ['widget.js', 'widget.css']) {
    copyFileSync(`jupyter_mlrun/ui/static/${file}`, `build/demo/${file}`);
  }
}
