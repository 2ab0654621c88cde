FROM --platform=$NOPE a
FROM --platform=linus b
FROM --platform=linux/amd64 c
