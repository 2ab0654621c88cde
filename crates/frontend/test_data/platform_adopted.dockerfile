#: runnable linux/arm64
#: of only-arm architecture arm64
FROM only-arm
RUN x
