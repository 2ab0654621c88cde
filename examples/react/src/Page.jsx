import React, { useState } from 'react';

export function Page() {
  const [count, setCount] = useState(0);
  return (
    <main>
      <h1>Hello from a multi-stage React image</h1>
      <button onClick={() => setCount(count + 1)}>pressed {count} times</button>
    </main>
  );
}
