exports.greeting = (now) => ({
  message: 'Hello from a multi-stage Node image',
  timestamp: now.toISOString(),
});
