module example.com/lathe/greeting

go 1.21
