const express = require('express');
const { greeting } = require('./greeting');

const app = express();
const port = Number(process.env.PORT) || 3000;

app.get('/', (request, response) => {
  response.json({ message: greeting(request.query.name) });
});

const server = app.listen(port, () => {
  console.log(`listening on port ${port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
