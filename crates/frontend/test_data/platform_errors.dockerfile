FROM --platform=$NOPE a
FROM --platform=linux b
FROM --platform=linux/amd64 c
