// Command check reads the files in deploy as the programs do that they are for: Kubernetes'
// schemas of Kubeflow's objects, Kubeflow's own checks of them, and Compose's loader. It also
// lets Kubeflow Trainer build what it would run, and compares the variables that pods get with
// those that gputrain understands. It is a module of its own, so that gputrain doesn't
// require Kubernetes.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	trainer "github.com/kubeflow/trainer/v2/pkg/apis/trainer/v1alpha1"
	"github.com/kubeflow/trainer/v2/pkg/runtime/core"
	operator "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/kubeflow/training-operator/pkg/webhooks/pytorch"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	jobset "sigs.k8s.io/jobset/api/jobset/v1alpha2"
	schedulerplugins "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"
)

// Where the modules have the definitions of their objects.
const (
	trainerModule  = "github.com/kubeflow/trainer/v2"
	operatorModule = "github.com/kubeflow/training-operator"
	jobsetModule   = "sigs.k8s.io/jobset"
)

var definitions = map[string][2]string{
	"TrainingRuntime": {trainerModule, "manifests/base/crds/trainer.kubeflow.org_trainingruntimes.yaml"},
	"TrainJob":        {trainerModule, "manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml"},
	"PyTorchJob":      {operatorModule, "manifests/base/crds/kubeflow.org_pytorchjobs.yaml"},
	"JobSet":          {jobsetModule, "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: check FOLDER")
		os.Exit(2)
	}
	dir, failed := os.Args[1], false
	for _, c := range []struct {
		file  string
		check func(string) (string, error)
	}{{"trainjob.yaml", trainJob}, {"pytorchjob.yaml", pyTorchJob}, {"compose.yaml", compose}} {
		said, err := c.check(filepath.Join(dir, c.file))
		if err != nil {
			failed = true
			said = "FAILED: " + err.Error()
		}
		fmt.Printf("%s: %s\n", c.file, said)
	}
	if failed {
		os.Exit(1)
	}
}

// objects decodes the documents of a file, each into the object of its kind in into. Unknown
// fields are errors. Custom resources get the defaults of their definitions.
func objects(path string, into map[string]any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		var object map[string]any
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			return err
		}
		kind := fmt.Sprint(object["kind"])
		target, ok := into[kind]
		if !ok {
			return fmt.Errorf("has a %s, which is not expected or is there twice", kind)
		}
		delete(into, kind)
		if _, custom := definitions[kind]; custom {
			if document, err = accepted(kind, object); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		if err := yaml.UnmarshalStrict(document, target); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	if len(into) > 0 {
		return fmt.Errorf("some kinds of objects are missing: %v", reflect.ValueOf(into).MapKeys())
	}
	return nil
}

// accepted does what an API server does with a custom resource: it returns the object with
// defaults, or why it is refused.
func accepted(kind string, object map[string]any) ([]byte, error) {
	var out bytes.Buffer
	where := definitions[kind]
	list := exec.Command(cmp.Or(os.Getenv("GO"), "go"), "list", "-m", "-f", "{{.Dir}}", where[0])
	list.Stdout, list.Stderr = &out, os.Stderr
	if err := list.Run(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(out.String()), where[1]))
	if err != nil {
		return nil, err
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return nil, err
	}
	for _, version := range definition.Spec.Versions {
		if object["apiVersion"] != definition.Spec.Group+"/"+version.Name {
			continue
		}
		var props apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &props, nil); err != nil {
			return nil, err
		}
		structural, err := schema.NewStructural(&props)
		if err != nil {
			return nil, err
		}
		validator, _, err := validation.NewSchemaValidator(&props)
		if err != nil {
			return nil, err
		}
		if unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(object), structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}); len(unknown) > 0 {
			return nil, fmt.Errorf("unknown fields: %v", unknown)
		}
		defaulting.Default(object, structural)
		refused := validation.ValidateCustomResource(nil, object, validator)
		if rules := cel.NewValidator(structural, true, celconfig.PerCallLimit); rules != nil {
			broken, _ := rules.Validate(context.Background(), nil, structural, object, nil, celconfig.RuntimeCELCostBudget)
			refused = append(refused, broken...)
		}
		if len(refused) > 0 {
			return nil, refused.ToAggregate()
		}
		return json.Marshal(object)
	}
	return nil, fmt.Errorf("%s has no %v", where[1], object["apiVersion"])
}

// pod checks what the schemas don't: that a pod mounts the volumes that it has.
func pod(spec corev1.PodSpec) error {
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range spec.Containers {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				return fmt.Errorf("container %s mounts %s, which isn't there", c.Name, m.Name)
			}
		}
	}
	return nil
}

// none is an index of nothing.
type none struct{}

func (none) IndexField(context.Context, client.Object, string, client.IndexerFunc) error { return nil }

// trainJob checks the file for Kubeflow Trainer. The variables are cases of
// internal/launch/launch_test.go.
func trainJob(path string) (string, error) {
	var claim corev1.PersistentVolumeClaim
	var run trainer.TrainingRuntime
	var job trainer.TrainJob
	if err := objects(path, map[string]any{"PersistentVolumeClaim": &claim, "TrainingRuntime": &run, "TrainJob": &job}); err != nil {
		return "", err
	}
	run.Namespace, job.Namespace = "default", "default"
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, trainer.AddToScheme, jobset.AddToScheme, schedulerplugins.AddToScheme} {
		if err := add(scheme); err != nil {
			return "", err
		}
	}
	ctx := context.Background()
	trains, err := core.NewTrainingRuntime(ctx, fake.NewClientBuilder().WithScheme(scheme).WithObjects(&run).Build(), none{})
	if err != nil {
		return "", err
	}
	if _, refused := trains.ValidateObjects(ctx, nil, &job); len(refused) > 0 {
		return "", refused.ToAggregate()
	}
	built, err := trains.NewObjects(ctx, &job)
	if err != nil {
		return "", err
	}
	for _, o := range built {
		text, err := json.Marshal(o)
		if err != nil {
			return "", err
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			return "", err
		}
		if object["kind"] != "JobSet" {
			continue
		}
		if text, err = accepted("JobSet", object); err != nil {
			return "", err
		}
		var set jobset.JobSet
		if err := json.Unmarshal(text, &set); err != nil {
			return "", err
		}
		jobs := set.Spec.ReplicatedJobs
		if len(jobs) != 1 || len(jobs[0].Template.Spec.Template.Spec.Containers) != 1 {
			return "", errors.New("the JobSet isn't one job of one container")
		}
		spec := jobs[0].Template.Spec.Template.Spec
		if err := pod(spec); err != nil {
			return "", err
		}
		if n := *jobs[0].Template.Spec.Completions; n != *job.Spec.Trainer.NumNodes {
			return "", fmt.Errorf("the JobSet has %d pods", n)
		}
		container := spec.Containers[0]
		if !reflect.DeepEqual(container.Args, job.Spec.Trainer.Args) || container.Command != nil || container.Image != *job.Spec.Trainer.Image {
			return "", fmt.Errorf("the container runs %s %v %v", container.Image, container.Command, container.Args)
		}
		var variables []string
		for _, v := range container.Env {
			value := v.Value
			if v.ValueFrom != nil {
				value = v.ValueFrom.FieldRef.FieldPath
			}
			variables = append(variables, v.Name+"="+value)
		}
		want := []string{
			"PET_NNODES=2", "PET_NPROC_PER_NODE=auto", "PET_NODE_RANK=metadata.annotations['batch.kubernetes.io/job-completion-index']",
			"PET_MASTER_ADDR=first-node-0-0.first", "PET_MASTER_PORT=29500",
		}
		if !reflect.DeepEqual(variables, want) {
			return "", fmt.Errorf("pods get the variables %q, want %q", variables, want)
		}
		return fmt.Sprintf("the schemas accept it; it becomes a JobSet, which its schema accepts too, whose pods get %s", strings.Join(variables, " ")), nil
	}
	return "", errors.New("Kubeflow Trainer makes no JobSet of it")
}

// pyTorchJob checks the file for the Training Operator.
func pyTorchJob(path string) (string, error) {
	var claim corev1.PersistentVolumeClaim
	var job operator.PyTorchJob
	if err := objects(path, map[string]any{"PersistentVolumeClaim": &claim, "PyTorchJob": &job}); err != nil {
		return "", err
	}
	operator.SetDefaults_PyTorchJob(&job)
	warnings, err := (&pytorch.Webhook{}).ValidateCreate(context.Background(), &job)
	if err != nil || len(warnings) > 0 {
		return "", errors.Join(err, fmt.Errorf("warnings: %v", warnings))
	}
	for _, replica := range job.Spec.PyTorchReplicaSpecs {
		if err := pod(replica.Template.Spec); err != nil {
			return "", err
		}
		if replica.RestartPolicy != operator.RestartPolicyOnFailure {
			return "", fmt.Errorf("the restart policy is %q", replica.RestartPolicy)
		}
		if replica.Template.Spec.RestartPolicy != "" {
			return "", errors.New("the operator overrides the restart policy of a pod")
		}
	}
	return "the schema and the operator's webhook accept it", nil
}

// compose checks the file for Docker Compose.
func compose(path string) (string, error) {
	options, err := cli.NewProjectOptions([]string{path})
	if err != nil {
		return "", err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return "", err
	}
	train, err := project.GetService("train")
	if err != nil {
		return "", err
	}
	if train.Deploy == nil || train.Deploy.Resources.Reservations == nil || len(train.Deploy.Resources.Reservations.Devices) != 1 {
		return "", errors.New("the service reserves no GPUs")
	}
	device := train.Deploy.Resources.Reservations.Devices[0]
	if device.Count != -1 || device.Driver != "nvidia" {
		return "", fmt.Errorf("the service reserves %+v", device)
	}
	dockerfile := filepath.Join(train.Build.Context, train.Build.Dockerfile)
	if _, err := os.Stat(dockerfile); err != nil {
		return "", err
	}
	return fmt.Sprintf("Compose's loader accepts it: all GPUs, %d MiB of shared memory, built from %s", int64(train.ShmSize)>>20, filepath.Base(dockerfile)), nil
}
