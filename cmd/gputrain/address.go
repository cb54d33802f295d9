package main

import (
	"errors"
	"fmt"
	stdnet "net"
	"strconv"
	"strings"
	"syscall"
)

// defaultPort is the port at which serve listens unless --address names another.
const defaultPort = "8080"

// checkAddress returns an error if an address to listen at is not HOST:PORT or :PORT. The
// error says what was probably meant.
func checkAddress(address string) error {
	wrong := func(why, meant string) error {
		return usagef("--address %s: %s; did you mean --address %s?", address, why, meant)
	}
	for _, scheme := range []string{"http://", "https://"} {
		if rest, ok := strings.CutPrefix(address, scheme); ok {
			host, _, _ := strings.Cut(rest, "/")
			return wrong("want HOST:PORT without "+scheme, withPort(host))
		}
	}
	const range16 = "the port must be from 1 to 65535, or 0 for a free one"
	if n, err := strconv.ParseUint(address, 10, 64); err == nil {
		if n > 65535 {
			return usagef("--address %s: want HOST:PORT; %s", address, range16)
		}
		return usagef("--address %s: a port without a colon; did you mean --address 127.0.0.1:%[1]s, or :%[1]s for every address of this machine?", address)
	}
	host, port, err := stdnet.SplitHostPort(address)
	switch ip := stdnet.ParseIP(strings.Trim(address, "[]")); {
	case ip != nil && ip.To4() == nil && (err != nil || !strings.HasPrefix(address, "[")):
		return wrong("an IPv6 address without a port", stdnet.JoinHostPort(ip.String(), defaultPort))
	case err != nil && strings.Contains(address, ":"):
		return usagef("--address %s: want HOST:PORT, such as 127.0.0.1:%s or [::1]:%[2]s", address, defaultPort)
	case err != nil, port == "":
		return wrong("the port is missing", withPort(strings.TrimSuffix(address, ":")))
	}
	if n, err := strconv.ParseInt(port, 10, 64); errors.Is(err, strconv.ErrRange) || err == nil && (n < 0 || n > 65535) {
		return usagef("--address %s: %s", address, range16)
	} else if err == nil {
		return nil
	}
	if _, err := stdnet.LookupPort("tcp", port); err != nil {
		return wrong(fmt.Sprintf("%q is not the number of a port", port), stdnet.JoinHostPort(host, defaultPort))
	}
	return nil
}

// withPort adds the default port to a host that has none.
func withPort(host string) string {
	if _, port, err := stdnet.SplitHostPort(host); err == nil && port != "" {
		return host
	}
	return stdnet.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
}

// windowsInUse is what Windows calls EADDRINUSE.
const windowsInUse = syscall.Errno(10048)

// cannotListen tells why the server can't listen at an address, and what to do.
func cannotListen(address string, err error) error {
	host, port, _ := stdnet.SplitHostPort(address) // which checkAddress has accepted
	var unknown *stdnet.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, windowsInUse):
		return fmt.Errorf("--address %s: another program uses this port: end it, or try another: --address %s", address, stdnet.JoinHostPort(host, nextPort(port)))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("--address %s: no permission to listen at this port: take one from 1024 on, such as --address %s", address, stdnet.JoinHostPort(host, defaultPort))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("--address %s: this machine doesn't have the address %s: take 127.0.0.1, or --address :%s for every address of this machine", address, host, port)
	case errors.As(err, &unknown):
		return fmt.Errorf("--address %s: there is no host %s: take 127.0.0.1, or --address :%s for every address of this machine", address, host, port)
	}
	return fmt.Errorf("--address %s: %w", address, err)
}

// nextPort returns a port to try after one that is in use.
func nextPort(port string) string {
	if n, err := strconv.Atoi(port); err == nil && n < 65535 {
		return strconv.Itoa(n + 1)
	}
	return defaultPort
}
