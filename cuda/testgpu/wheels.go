package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// listSitePackages is a Python program that prints the folders of Python packages.
const listSitePackages = `import site, sysconfig; print("\n".join([sysconfig.get_path("purelib"), site.getusersitepackages(), *site.getsitepackages()]))`

// wheelFolders returns the library folders in NVIDIA's Python packages (nvidia-cudnn-cu12, nvidia-cublas-cu12 and
// others). PyTorch installs these packages.
func wheelFolders(ctx context.Context, t *transcript) []string {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil
	}
	out, err := t.run(ctx, command{args: []string{python, "-c", listSitePackages}})
	if err != nil {
		return nil
	}
	return wheelFoldersIn(strings.Split(strings.TrimSpace(out), "\n"))
}

// wheelFoldersIn looks in folders of Python packages. It returns only those of the first that has cuDNN or cuBLAS,
// because libraries of two installations may not fit together.
func wheelFoldersIn(sitePackages []string) []string {
	for _, site := range sitePackages {
		var folders []string
		for _, pattern := range []string{"libcudnn.so.[89]", "libcublas.so.1[0-9]", "libnvrtc.so.1[0-9]", "libnccl.so.2"} {
			files, _ := filepath.Glob(filepath.Join(site, "nvidia", "*", "lib", pattern))
			for _, file := range files {
				if dir := filepath.Dir(file); !slices.Contains(folders, dir) {
					folders = append(folders, dir)
				}
			}
		}
		if len(folders) > 0 {
			return folders
		}
	}
	return nil
}
