// Renders a chart as Helm does, by Go's own template engine and sprig, for a machine without Helm: render CHART < input.json.
//
// The input is a list of {"values": …, "release": …}; the output is a list of {"documents": {file: text}} or {"error": text}. What Helm adds to sprig is
// here: include, tpl, required, fail, toYaml, toJson, and .Files.Get.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
)

type files struct{ root string }

func (f files) Get(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(f.root, name))
	return string(content), err
}

type input struct {
	Values  map[string]any    `json:"values"`
	Release map[string]any    `json:"release"`
	Chart   map[string]string `json:"chart"`
}

type output struct {
	Documents map[string]string `json:"documents,omitempty"`
	Error     string            `json:"error,omitempty"`
}

// As Helm's toYaml: a block, its scalars as JSON.
func toYAML(value any) string {
	var lines []string
	switch value := value.(type) {
	case map[string]any:
		if len(value) == 0 {
			return "{}"
		}
		keys := make([]string, 0, len(value))
		for key := range value {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			lines = append(lines, key+":"+below(value[key]))
		}
	case []any:
		if len(value) == 0 {
			return "[]"
		}
		for _, one := range value {
			lines = append(lines, "-"+below(one))
		}
	default:
		text, _ := json.Marshal(value)
		return string(text)
	}
	return strings.Join(lines, "\n")
}

func below(value any) string {
	text := toYAML(value)
	if strings.HasPrefix(text, "{}") || strings.HasPrefix(text, "[]") || !isBlock(value) {
		return " " + text
	}
	return "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}

func isBlock(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func toJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func load(chart string) (*template.Template, []string, error) {
	all := template.New("chart").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = toYAML
	functions["toJson"] = toJSON
	functions["fail"] = func(message string) (string, error) { return "", errors.New(message) }
	functions["required"] = func(message string, value any) (any, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	functions["include"] = func(name string, data any) (string, error) {
		var text bytes.Buffer
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	all.Funcs(functions)
	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		name := filepath.Base(path)
		if _, err := all.New(name).Parse(string(text)); err != nil {
			return nil, nil, err
		}
		if !strings.HasPrefix(name, "_") {
			names = append(names, name)
		}
	}
	return all, names, nil
}

func render(all *template.Template, names []string, chart string, in input) output {
	documents := map[string]string{}
	for _, name := range names {
		data := map[string]any{"Values": in.Values, "Release": in.Release, "Chart": in.Chart, "Files": files{chart}}
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, name, data); err != nil {
			return output{Error: err.Error()}
		}
		documents[name] = text.String()
	}
	return output{Documents: documents}
}

func run() error {
	all, names, err := load(os.Args[1])
	if err != nil {
		return err
	}
	var inputs []input
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	if err := decoder.Decode(&inputs); err != nil {
		return err
	}
	outputs := make([]output, 0, len(inputs))
	for _, in := range inputs {
		outputs = append(outputs, render(all, names, os.Args[1], in))
	}
	return json.NewEncoder(os.Stdout).Encode(outputs)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
