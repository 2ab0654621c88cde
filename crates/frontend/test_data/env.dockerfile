FROM base
ENV a=1 b=$a c="$BASE x"
ENV a=2 b=$a
ENV legacy some $a words
ENV PATH=/opt:$PATH
LABEL z=1 a="$a" "with space"='$a'
LABEL old form $a
EXPOSE 80 $a/UDP 7000-7002
ENV PORTS="81 82/udp"
EXPOSE $PORTS
VOLUME /data "$a/x"
VOLUME ["/json", "/$a"]
