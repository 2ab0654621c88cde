// Bundles the page into `build/`.
import { build } from 'esbuild';
import { cp, rm } from 'node:fs/promises';

await rm('build', { recursive: true, force: true });
await cp('public', 'build', { recursive: true });
await build({
  entryPoints: ['src/index.jsx'],
  outfile: 'build/page.js',
  bundle: true,
  minify: true,
  define: { 'process.env.NODE_ENV': '"production"' },
});
