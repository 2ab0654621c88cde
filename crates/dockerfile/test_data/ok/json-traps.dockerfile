FROM a
CMD ['npm', 'start']
ENTRYPOINT ["a" "b"]
RUN [ "$a" = b ]
RUN ['a']
COPY ['x', 'y/']
