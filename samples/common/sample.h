/*
 * What the samples share: errors that end the program, the choice of a device, and kernels found
 * beside the program. C11, also read as C++. A program of your own needs none of it.
 */
#ifndef FLAGOS_SAMPLE_H
#define FLAGOS_SAMPLE_H

#if !defined(_POSIX_C_SOURCE) && !defined(__cplusplus)
#define _POSIX_C_SOURCE 200809L /* readlink, access */
#endif

#include <flagos.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  flagos_runtime_t* runtime;
  flagos_device_t* device;
  flagos_device_info_t info;
} sample_t;

/* Ends the program with one sentence when a call failed. */
static inline void sample_check(flagos_status_t status, const char* what) {
  if (status == FLAGOS_STATUS_OK) return;
  fprintf(stderr, "error: %s: %s (%s)\n", what, flagos_last_error(),
          flagos_status_get_name(status));
  exit(1);
}

/* The value of an option such as `--device cpu:0`; NULL when it is not there. */
static inline const char* sample_option(int argc, char** argv, const char* name) {
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], name) != 0) continue;
    if (i + 1 == argc) {
      fprintf(stderr, "error: %s needs a value\n", name);
      exit(2);
    }
    return argv[i + 1];
  }
  return NULL;
}

/* Finds the plugins and opens a device: the one with this id, or for NULL the first. */
static inline sample_t sample_open(const char* device_id) {
  sample_t sample;
  uint32_t index = 0;
  memset(&sample, 0, sizeof(sample));
  sample_check(flagos_runtime_create(NULL, &sample.runtime), "finding plugins");
  if (device_id) {
    sample_check(flagos_device_find(sample.runtime, device_id, &index), "finding the device");
  } else {
    uint32_t count = 0;
    sample_check(flagos_device_get_count(sample.runtime, &count), "counting devices");
    if (count == 0) {
      fprintf(stderr, "error: no device was found; `flagos doctor` says why\n");
      exit(1);
    }
  }
  sample_check(flagos_device_open(sample.runtime, index, &sample.device), "opening the device");
  sample.info.struct_size = sizeof(sample.info);
  sample_check(flagos_device_get_info(sample.device, &sample.info), "describing the device");
  return sample;
}

static inline void sample_close(sample_t* sample) {
  sample_check(flagos_device_close(sample->device), "closing the device");
  sample_check(flagos_runtime_destroy(sample->runtime), "ending the runtime");
}

static inline flagos_address_t sample_alloc(sample_t* sample, uint64_t size_bytes) {
  flagos_memory_desc_t desc;
  flagos_address_t address = 0;
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = size_bytes;
  sample_check(flagos_memory_alloc(sample->device, &desc, &address), "allocating device memory");
  return address;
}

/* Reads a whole file; NULL with errno when that fails. free() it. */
static inline void* sample_read_file(const char* path, uint64_t* out_size_bytes) {
  FILE* file = fopen(path, "rb");
  char* data = NULL;
  uint64_t size = 0, room = 0;
  size_t count = 1;
  if (!file) return NULL;
  while (count > 0) {
    if (size == room) {
      char* larger = (char*)realloc(data, (size_t)(room = room * 2 + 65536));
      if (!larger) break;
      data = larger;
    }
    count = fread(data + size, 1, (size_t)(room - size), file);
    size += count;
  }
  if (ferror(file) || size == room) {
    free(data);
    data = NULL;
  }
  fclose(file);
  *out_size_bytes = size;
  return data;
}

static inline flagos_module_t* sample_load_file(sample_t* sample, const char* path,
                                                const char* format) {
  flagos_module_desc_t desc;
  flagos_module_t* module = NULL;
  uint64_t size = 0;
  void* data = sample_read_file(path, &size);
  if (!data) {
    fprintf(stderr, "error: the kernels %s cannot be read: %s\n", path, strerror(errno));
    exit(1);
  }
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.format = format;
  desc.data = data;
  desc.size_bytes = size;
  sample_check(flagos_module_load(sample->device, &desc, &module), path);
  free(data);
  return module;
}

/*
 * Loads the kernels of this program in the format that the device likes best:
 * <program>_kernels.<format>, beside the program. `path` names another file, whose suffix is its
 * format.
 */
static inline flagos_module_t* sample_load_kernels(sample_t* sample, const char* path) {
  char program[900], candidate[1024], best[1024] = "", formats[256] = "";
  flagos_format_info_t info;
  char best_format[sizeof(info.name)] = "";
  int32_t best_priority = INT32_MIN;
  uint32_t count = 0;
  if (path) {
    const char* dot = strrchr(path, '.');
    return sample_load_file(sample, path, dot ? dot + 1 : "");
  }
  const ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  program[length > 0 ? length : 0] = '\0';
  sample_check(flagos_module_get_format_count(sample->device, &count), "asking for kernel formats");
  for (uint32_t i = 0; i < count; ++i) {
    memset(&info, 0, sizeof(info));
    info.struct_size = sizeof(info);
    sample_check(flagos_module_get_format(sample->device, i, &info), "asking for kernel formats");
    snprintf(candidate, sizeof(candidate), "%s_kernels.%s", program, info.name);
    snprintf(formats + strlen(formats), sizeof(formats) - strlen(formats), " %s", info.name);
    if ((info.flags & FLAGOS_FORMAT_FLAG_LOAD) && info.priority > best_priority &&
        access(candidate, R_OK) == 0) {
      best_priority = info.priority;
      memcpy(best, candidate, sizeof(best));
      memcpy(best_format, info.name, sizeof(best_format));
    }
  }
  if (best_priority == INT32_MIN) {
    fprintf(stderr, "error: %s takes kernels as%s; there is no %s_kernels.* of these formats\n",
            sample->info.id, formats, program);
    exit(1);
  }
  return sample_load_file(sample, best, best_format);
}

static inline flagos_kernel_t* sample_kernel(flagos_module_t* module, const char* name) {
  flagos_kernel_desc_t desc;
  flagos_kernel_t* kernel = NULL;
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.name = name;
  sample_check(flagos_module_get_kernel(module, &desc, &kernel), "finding a kernel");
  return kernel;
}

/* Queues a launch with a packed argument block. */
static inline void sample_launch(flagos_stream_t* stream, flagos_kernel_t* kernel,
                                 uint32_t blocks_x, uint32_t blocks_y, uint32_t threads_x,
                                 uint32_t threads_y, const void* arguments,
                                 uint64_t argument_bytes) {
  flagos_launch_desc_t desc;
  memset(&desc, 0, sizeof(desc));
  desc.struct_size = sizeof(desc);
  desc.grid[0] = blocks_x;
  desc.grid[1] = blocks_y;
  desc.grid[2] = 1;
  desc.block[0] = threads_x;
  desc.block[1] = threads_y;
  desc.block[2] = 1;
  desc.argument_block = arguments;
  desc.argument_bytes = argument_bytes;
  sample_check(flagos_kernel_launch(stream, kernel, &desc), "launching a kernel");
}

#endif
