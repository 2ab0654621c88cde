const express = require('express');
const { greeting } = require('./greeting');

const app = express();
const port = Number(process.env.PORT) || 3000;

app.get('/', (request, response) => {
  response.json(greeting(new Date()));
});

const server = app.listen(port, () => {
  console.log(`listening on port ${port}`);
});

// As process 1 of a container, Node has no default action for these signals.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
