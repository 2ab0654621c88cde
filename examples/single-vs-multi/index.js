const express = require('express');

const app = express();
const port = Number(process.env.PORT) || 3000;

app.get('/', (request, response) => {
  response.json({ message: 'Hello from either image' });
});

const server = app.listen(port, () => {
  console.log(`listening on port ${port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
