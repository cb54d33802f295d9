module github.com/gputrain/gputrain/bench/peers/gomlx

go 1.26.0
