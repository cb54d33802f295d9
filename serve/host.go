package serve

import (
	stdnet "net"
	"net/http"
	"slices"
	"strings"
)

// checkHost refuses requests that reach this machine's own address under the name of
// another one, where no token protects the server. A web page could otherwise have its
// name resolve to 127.0.0.1, and the browser would let it ask (DNS rebinding).
func (s *Server) checkHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*stdnet.TCPAddr)
		if s.options.Token == "" && local != nil && local.IP.IsLoopback() && !s.isOwnHost(r.Host) {
			s.log.Info("refused: another host", "host", r.Host, "path", r.URL.Path, "from", r.RemoteAddr)
			problemf(http.StatusMisdirectedRequest, "this server answers for localhost, not for %.100q: it needs --allow-host with that name, or a token", r.Host).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isOwnHost tells whether a Host header names this machine, or a host that is allowed.
// One that is empty comes from no browser.
func (s *Server) isOwnHost(host string) bool {
	name := hostName(host)
	if ip := stdnet.ParseIP(name); ip != nil && ip.IsLoopback() {
		return true
	}
	return name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(s.options.Hosts, name)
}

// hostName is a host as it is compared: without its port, in lower case.
func hostName(host string) string {
	if name, _, err := stdnet.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
