const express = require('express');
const path = require('path');

const app = express();
const port = Number(process.env.PORT) || 3000;

app.get('/api/message', (request, response) => {
  response.json({ message: 'Hello from the backend of the same image' });
});
app.use(express.static(path.join(__dirname, 'public')));

const server = app.listen(port, () => {
  console.log(`listening on port ${port}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
