// Renders a Helm chart's templates as `helm template` does: Go's text/template with Sprig's functions
// and Helm's include, tpl, required and toYaml. Helm itself has no package where these tests run. What
// is not here: sub-charts, hooks, lookup, .Files, .Capabilities, the schema (lib/helm.py has that).
//
// Standard input: {"values": …, "chart": …, "release": …, "templates": {name: text}}.
// Standard output: {name: rendered text}. An error ends it with 1.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type input struct {
	Values    map[string]interface{}
	Chart     map[string]interface{}
	Release   map[string]interface{}
	Templates map[string]string
}

func toYaml(value interface{}) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(value)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func functions(all *template.Template) template.FuncMap {
	out := sprig.TxtFuncMap()
	// As in Helm: a chart must not depend on where it is rendered.
	delete(out, "env")
	delete(out, "expandenv")
	out["toYaml"] = toYaml
	out["include"] = func(name string, data interface{}) (string, error) {
		var text strings.Builder
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	out["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	out["fail"] = func(message string) (string, error) { return "", fmt.Errorf("%s", message) }
	return out
}

func render(in input) (map[string]string, error) {
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(functions(all))
	for name, text := range in.Templates {
		if _, err := all.New(name).Parse(text); err != nil {
			return nil, err
		}
	}
	data := map[string]interface{}{
		"Values": in.Values, "Chart": in.Chart, "Release": in.Release,
	}
	out := map[string]string{}
	for name := range in.Templates {
		if strings.HasPrefix(name, "_") {
			continue
		}
		var text strings.Builder
		if err := all.ExecuteTemplate(&text, name, data); err != nil {
			return nil, err
		}
		// What Helm does as well to values that are not there.
		out[name] = strings.ReplaceAll(text.String(), "<no value>", "")
	}
	return out, nil
}

func main() {
	var in input
	err := json.NewDecoder(os.Stdin).Decode(&in)
	if err == nil {
		var out map[string]string
		if out, err = render(in); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
