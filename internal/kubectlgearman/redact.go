package kubectlgearman

import (
	"net/url"
	"strings"
)

const redacted = "REDACTED"

// redact removes from an object, as JSON, what may contain a secret: values of environment
// variables and headers, arguments of commands, annotations, data of ConfigMaps and Secrets, users
// and queries of URLs. It changes the object.
func redact(node any) any {
	switch node := node.(type) {
	case map[string]any:
		for key, child := range node {
			node[key] = redactField(key, child)
		}
		return node
	case []any:
		for i := range node {
			node[i] = redact(node[i])
		}
		return node
	case string:
		return redactURL(node)
	}
	return node
}

func redactField(key string, child any) any {
	switch strings.ToLower(key) {
	case "annotations", "managedfields":
		return nil
	case "value", "password", "token", "data", "stringdata", "binarydata":
		return redacted
	case "command", "args":
		words, ok := child.([]any)
		if !ok || len(words) == 0 {
			return child
		}
		if strings.EqualFold(key, "command") { // the program is useful to know, and its path is no secret
			return append(words[:1:1], redactedWords(len(words)-1)...)
		}
		return redactedWords(len(words))
	}
	return redact(child)
}

func redactedWords(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = redacted
	}
	return out
}

// redactURL removes the user and the query from a URL; any other text is not changed.
func redactURL(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return redacted
	}
	if u.User != nil {
		u.User = url.User(redacted)
	}
	if u.RawQuery != "" {
		u.RawQuery = redacted
	}
	return u.String()
}
