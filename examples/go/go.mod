module example.com/lathe/hello

go 1.21
