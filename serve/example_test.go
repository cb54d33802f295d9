package serve_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gputrain/gputrain/cpu"
	"github.com/gputrain/gputrain/net"
	"github.com/gputrain/gputrain/serve"
)

// A Server is an http.Handler for a program of one's own; Run answers on a listener
// and ends in order. The checkpoint would be net.LoadCheckpoint("runs/run-1").
func Example() {
	network := net.BuiltIn("mlp")
	plan, err := network.Plan()
	if err != nil {
		log.Fatal(err)
	}
	untrained := &net.Checkpoint{Network: network, Recipe: net.Recipes()[0].Recipe, State: net.InitialState(plan, 1, nil)}
	device, err := cpu.New(cpu.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer device.Close()
	s, err := serve.New(device, untrained, serve.Options{Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	listener := httptest.NewServer(s)
	defer listener.Close()

	black := `{"pixels": [[` + strings.Repeat("0,", 783) + `0]]}`
	for _, token := range []string{"", "secret"} {
		question, err := http.NewRequest("POST", listener.URL+"/v1/predict?top=1", strings.NewReader(black))
		if err != nil {
			log.Fatal(err)
		}
		question.Header.Set("Content-Type", "application/json")
		question.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(question)
		if err != nil {
			log.Fatal(err)
		}
		var p serve.Predictions
		err = json.NewDecoder(answer.Body).Decode(&p)
		_ = answer.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Status)
		for _, prediction := range p.Predictions {
			fmt.Printf("%s, with %.2f\n", prediction.Classes[0].Class, prediction.Classes[0].Probability)
		}
	}
	// Output:
	// 401 Unauthorized
	// 200 OK
	// 4, with 0.11
}
