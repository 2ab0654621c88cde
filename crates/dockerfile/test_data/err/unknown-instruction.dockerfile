FROM node:18
COPPY . .
RUNN x
npm start
FORM scratch
