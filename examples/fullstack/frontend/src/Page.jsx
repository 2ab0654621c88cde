import React, { useEffect, useState } from 'react';

export function Page() {
  const [message, setMessage] = useState('asking the server …');
  useEffect(() => {
    fetch('/api/message')
      .then((answer) => answer.json())
      .then((answer) => setMessage(answer.message))
      .catch((error) => setMessage(`no answer: ${error.message}`));
  }, []);
  return (
    <main>
      <h1>Full-stack image</h1>
      <p>{message}</p>
    </main>
  );
}
