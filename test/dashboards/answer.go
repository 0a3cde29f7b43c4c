package dashboards

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// ParseRange reads the answer of Prometheus to /api/v1/query_range. Values that are not numbers are
// left out, and so are series without values.
func ParseRange(body []byte) ([]Series, error) {
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("the query failed: %s", answer.Error)
	}
	var all []Series
	for _, r := range answer.Data.Result {
		s := Series{Labels: r.Metric}
		for _, v := range r.Values {
			at, isNumber := v[0].(float64)
			text, isText := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if !isNumber || !isText || err != nil {
				return nil, fmt.Errorf("%v is not a time and a value", v)
			}
			if !math.IsNaN(value) && !math.IsInf(value, 0) {
				s.Points = append(s.Points, Point{at, value})
			}
		}
		if len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	return all, nil
}
