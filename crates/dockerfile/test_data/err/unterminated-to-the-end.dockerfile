FROM a
RUN <<-'END' bash
	echo
RUN next
