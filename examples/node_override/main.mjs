import { signTwice } from 'my-aztec-node';

const { signature, refused } = await signTwice(process.env.DATABASE_URL);
console.log(`signed: ${signature}`);
console.log(`refused: ${refused}`);
