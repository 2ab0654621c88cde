#!/usr/bin/env lathe
#syntax = docker/dockerfile:1
# Escape = \
# unknown=x
# escape=`
from a as b
run echo \\
run [ -f x ] && echo ["a"]
run echo $((1 + 2)) \   
  more\
