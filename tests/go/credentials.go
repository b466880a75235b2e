// Calls with a token and with a client certificate, in the words of proto/README.md.
// Arguments: the address, a file with the authority, and a token, or a certificate and its key.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	tollgate "tollgate/v1"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	address, authority, shown := os.Args[1], os.Args[2], os.Args[3:]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	pem, err := os.ReadFile(authority)
	must(err)
	ca := x509.NewCertPool()
	ca.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: ca}
	if len(shown) == 1 {
		key := shown[0]
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	} else {
		certificate, err := tls.LoadX509KeyPair(shown[0], shown[1])
		must(err)
		config.Certificates = []tls.Certificate{certificate}
	}
	connection, err := grpc.Dial(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	must(err)
	defer connection.Close()
	client := tollgate.NewChargingServiceClient(connection)
	answer, err := client.GetUsableCredit(ctx, &tollgate.GetUsableCreditRequest{AccountId: "acme"})
	if err != nil {
		fmt.Println(int(status.Code(err)))
		return
	}
	fmt.Println(answer.Credit.Usable)
}
