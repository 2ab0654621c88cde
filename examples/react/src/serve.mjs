// Serves `build/`: only the single-stage image needs it, which has no nginx.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve('build');
const types = { '.html': 'text/html', '.js': 'text/javascript' };
const port = Number(process.env.PORT) || 80;

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const file = path.join(root, pathname === '/' ? 'index.html' : path.normalize(pathname));
  try {
    const body = await readFile(file);
    const type = types[path.extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'Content-Type': type }).end(body);
  } catch {
    response.writeHead(404).end('not found\n');
  }
});

server.listen(port, () => console.log(`listening on port ${port}`));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
