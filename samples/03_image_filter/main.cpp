// Filters a .ppm or .pgm file on any device.
#include <cstdio>
#include <exception>
#include <string>

#include "samples/03_image_filter/image.hpp"
#include "samples/common/sample.h"

namespace {

using flagos::samples::Image;

struct Options {
  const char* device = nullptr;  // the first
  std::string filter;
  std::string input;
  std::string output;
};

// The argument block of both kernels.
struct FilterArguments {
  flagos_address_t source, target;
  std::uint32_t width, height, channels, maximum;
};

constexpr std::uint32_t tile = 16;

[[noreturn]] void usage(const char* program, const std::string& problem) {
  std::fprintf(stderr, "error: %s\nusage: %s [--device ID] --filter blur|edge INPUT OUTPUT\n",
               problem.c_str(), program);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options options;
  options.device = sample_option(argc, argv, "--device");
  const char* filter = sample_option(argc, argv, "--filter");
  std::string* files[] = {&options.input, &options.output};
  int count = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--device" || argument == "--filter") {
      ++i;
    } else if (argument.starts_with("--")) {
      usage(argv[0], "there is no option " + argument);
    } else if (argument.empty() || count == 2) {
      usage(argv[0], "one INPUT and one OUTPUT are needed, '" + argument + "' is neither");
    } else {
      *files[count++] = argument;
    }
  }
  if (count < 2) usage(argv[0], "INPUT or OUTPUT is missing");
  if (!filter) usage(argv[0], "--filter is missing");
  options.filter = filter;
  if (options.filter != "blur" && options.filter != "edge") {
    usage(argv[0], "there is no filter '" + options.filter + "'; there are blur and edge");
  }
  return options;
}

flagos_address_t host_address(void* pointer) { return reinterpret_cast<flagos_address_t>(pointer); }

// Everything is queued in order on one stream; the host waits once. The samples are replaced.
void run(sample_t& sample, const std::string& filter, Image& image) {
  flagos_module_t* module = sample_load_kernels(&sample, nullptr);
  flagos_kernel_t* kernel = sample_kernel(module, filter.c_str());
  flagos_stream_t* stream = nullptr;
  sample_check(flagos_stream_create(sample.device, nullptr, &stream), "creating a stream");
  const std::uint64_t bytes = image.samples.size() * sizeof(std::uint16_t);
  const flagos_address_t source = sample_alloc(&sample, bytes);
  const flagos_address_t target = sample_alloc(&sample, bytes);
  const FilterArguments arguments{source,       target,         image.width,
                                  image.height, image.channels, image.maximum};

  sample_check(flagos_memory_copy(stream, source, host_address(image.samples.data()), bytes),
               "copying in");
  sample_launch(stream, kernel, (image.width + tile - 1) / tile, (image.height + tile - 1) / tile,
                tile, tile, &arguments, sizeof(arguments));
  sample_check(flagos_memory_copy(stream, host_address(image.samples.data()), target, bytes),
               "copying out");
  sample_check(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE), "filtering");

  sample_check(flagos_memory_free(sample.device, source), "freeing");
  sample_check(flagos_memory_free(sample.device, target), "freeing");
  sample_check(flagos_stream_destroy(stream), "destroying the stream");
  sample_check(flagos_module_unload(module), "unloading");
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  try {
    Image image = flagos::samples::read_image(options.input);
    sample_t sample = sample_open(options.device);
    run(sample, options.filter, image);
    const std::string device = sample.info.id;
    sample_close(&sample);
    flagos::samples::write_image(options.output, image);
    std::printf("%s: %s of %u x %u pixels -> %s\n", device.c_str(), options.filter.c_str(),
                image.width, image.height, options.output.c_str());
    return 0;
  } catch (const flagos::samples::ImageError& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "error: there is not enough memory for '%s'; scale it down\n",
                 options.input.c_str());
  }
  return 1;
}
