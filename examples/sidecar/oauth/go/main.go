// golang.org/x/oauth2. It needs nothing, but it tries both ways to authenticate unless AuthStyle says which.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{
		ClientID:     "shop",
		ClientSecret: os.Getenv("BIPED_CALLER_TOKEN"),
		TokenURL:     os.Getenv("BIPED_URL") + "/-/oauth/shop/token",
		AuthStyle:    oauth2.AuthStyleInHeader,
	}
	response, err := config.Client(context.Background()).Get(os.Getenv("SHOP_URL") + "/v1/orders")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println("x/oauth2", response.StatusCode)
}
