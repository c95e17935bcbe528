// flagos kernel run and bench: a launch of a portable kernel with arrays from files.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tools/kernel.hpp"
#include "tools/npy.hpp"

namespace flagos::tools {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

std::uint64_t parse_number(std::string_view text, const std::string& what) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw UsageError(fmt::format("{}: '{}' is no number", what, text));
  return value;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// "4" or "4,2,1".
std::array<std::uint32_t, 3> parse_grid(const std::string& text) {
  const std::vector<std::string> parts = split(text, ',');
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  if (parts.size() > grid.size())
    throw UsageError(fmt::format("--grid '{}' has more than 3 extents", text));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::uint64_t extent = parse_number(parts[i], "--grid");
    if (extent > UINT32_MAX) throw UsageError(fmt::format("--grid '{}' is too large", text));
    grid[i] = static_cast<std::uint32_t>(extent);
  }
  return grid;
}

// "zeros:f32[128x64]".
Array parse_zeros(const std::string& text) {
  const std::size_t open = text.find('[');
  if (open == std::string::npos || !text.ends_with(']'))
    throw UsageError(fmt::format("'{}' is not of the form zeros:f32[128x64]", text));
  constexpr std::size_t prefix = 6;
  Array array;
  array.dtype = parse_dtype(text.substr(prefix, open - prefix));
  std::uint64_t bytes = element_bytes(array.dtype);
  for (const std::string& part : split(text.substr(open + 1, text.size() - open - 2), 'x')) {
    array.shape.push_back(parse_number(part, text));
    if (array.shape.back() != 0 && bytes > (std::uint64_t{1} << 36) / array.shape.back())
      throw UsageError(fmt::format("'{}' is too large", text));
    bytes *= array.shape.back();
  }
  array.data.resize(bytes);
  return array;
}

std::uint64_t parse_scalar(const std::string& name, const std::string& text, flagos_dtype_t dtype) {
  std::uint64_t bits = 0;
  const char* const end = text.data() + text.size();
  std::from_chars_result result{};
  if (dtype == FLAGOS_DTYPE_FLOAT32) {
    float value = 0;
    result = std::from_chars(text.data(), end, value);
    std::memcpy(&bits, &value, sizeof(value));
  } else if (dtype == FLAGOS_DTYPE_FLOAT64) {
    double value = 0;
    result = std::from_chars(text.data(), end, value);
    std::memcpy(&bits, &value, sizeof(value));
  } else {
    std::int64_t value = 0;
    result = std::from_chars(text.data(), end, value);
    if (dtype == FLAGOS_DTYPE_INT32 && (value < INT32_MIN || value > INT32_MAX))
      result.ec = std::errc::result_out_of_range;
    std::memcpy(&bits, &value, sizeof(value));
  }
  if (text.empty() || result.ec != std::errc() || result.ptr != end)
    throw UsageError(fmt::format("argument '{}': '{}' is no value of its type", name, text));
  return bits;
}

// The kernel's arguments, in order: arrays and scalars.
struct Value {
  std::string name;
  bool is_array = false;
  Array array;
  flagos_dtype_t dtype = 0;
  std::uint64_t bits = 0;
};

struct Request {
  std::string file, text;
  std::unique_ptr<TileModule> module;
  std::uint32_t kernel = 0;
  std::array<std::uint32_t, 3> grid{1, 1, 1};
  std::vector<Value> values;
};

std::map<std::string, std::string> parse_pairs(const std::vector<std::string>& texts,
                                               const char* option) {
  std::map<std::string, std::string> pairs;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw UsageError(fmt::format("{} '{}' is not of the form NAME=VALUE", option, text));
    if (!pairs.emplace(text.substr(0, equals), text.substr(equals + 1)).second)
      throw UsageError(fmt::format("{} gives '{}' twice", option, text.substr(0, equals)));
  }
  return pairs;
}

std::uint32_t find_kernel(const TileModule& module, const cxxopts::ParseResult& parsed) {
  const auto& kernels = module.kernels();
  if (parsed.count("kernel") == 0) {
    if (kernels.size() == 1) return 0;
    throw UsageError(fmt::format("the module has {} kernels: --kernel says which", kernels.size()));
  }
  const std::string name = parsed["kernel"].as<std::string>();
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kernels.size(); ++i) {
    if (kernels[i].name == name) return i;
    names.push_back(kernels[i].name);
  }
  throw CommandError(
      fmt::format("there is no kernel '{}'; there are: {}", name, fmt::join(names, ", ")));
}

std::vector<Value> read_values(const TileModule& module, std::uint32_t kernel,
                               std::map<std::string, std::string> given) {
  std::vector<Value> values;
  for (std::uint32_t i = 0; i < module.kernels()[kernel].parameters.size(); ++i) {
    flagos_tile_argument_info_t info{};
    info.struct_size = sizeof(info);
    compiler().expect(compiler().module_get_argument_info(module.get(), kernel, i, &info));
    Value value;
    value.name = info.name;
    value.dtype = info.dtype;
    value.is_array = (info.flags & FLAGOS_TILE_ARGUMENT_FLAG_POINTER) != 0;
    const auto found = given.find(value.name);
    if (found == given.end())
      throw UsageError(fmt::format("argument '{}' is missing: --set {}={}", value.name, value.name,
                                   value.is_array ? "FILE.npy or zeros:f32[128]" : "NUMBER"));
    if (!value.is_array) {
      value.bits = parse_scalar(value.name, found->second, info.dtype);
    } else {
      value.array = found->second.starts_with("zeros:") ? parse_zeros(found->second)
                                                        : read_npy(found->second);
      if (element_bytes(value.array.dtype) != element_bytes(info.dtype))
        throw CommandError(fmt::format(
            "argument '{}' has elements of {} bytes, '{}' has some of {}", value.name,
            element_bytes(info.dtype), found->second, element_bytes(value.array.dtype)));
    }
    values.push_back(std::move(value));
    given.erase(found);
  }
  if (!given.empty())
    throw UsageError(fmt::format("kernel '{}' has no argument '{}'", module.kernels()[kernel].name,
                                 given.begin()->first));
  return values;
}

void add_options(cxxopts::Options& options) {
  options.add_options()("kernel", "which, where the module has several",
                        cxxopts::value<std::string>(),
                        "NAME")("device", "an id such as cpu:0, or a plugin",
                                cxxopts::value<std::string>()->default_value("cpu"), "DEVICE")(
      "grid", "programs, such as 4 or 4,2,1", cxxopts::value<std::string>()->default_value("1"),
      "GRID")("set", "an argument: a number, a .npy file, or zeros:f32[128x64]",
              cxxopts::value<std::vector<std::string>>(), "NAME=VALUE");
  options.add_options("hidden")("file", "", cxxopts::value<std::string>());
  options.positional_help("FILE");
}

std::vector<std::string> list_of(const cxxopts::ParseResult& parsed, const char* option) {
  return parsed.count(option) > 0 ? parsed[option].as<std::vector<std::string>>()
                                  : std::vector<std::string>();
}

Request read_request(const cxxopts::ParseResult& parsed, const char* command) {
  if (parsed.count("file") == 0) throw UsageError(fmt::format("kernel {} needs a file", command));
  Request request;
  request.file = parsed["file"].as<std::string>();
  request.text = read_text(request.file);
  request.module = read_module(request.file, request.text);
  request.kernel = find_kernel(*request.module, parsed);
  request.grid = parse_grid(parsed["grid"].as<std::string>());
  request.values =
      read_values(*request.module, request.kernel, parse_pairs(list_of(parsed, "set"), "--set"));
  return request;
}

// A module, stream and memory on a device; all end with it.
class Session {
 public:
  // Delegates, so that what is there already is given back when the rest fails.
  Session(const DeviceOwner& device, Request& request) : Session(request, device) {
    check(flagos_stream_create(device_, nullptr, &stream_), "a stream");
    const Clock::time_point start = Clock::now();
    load();
    first_load_us_ = microseconds_since(start);
    for (Value& value : request_.values) {
      if (value.is_array) upload(value);
    }
  }
  ~Session() {
    flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE);
    for (const auto& [value, address] : memory_) flagos_memory_free(device_, address);
    flagos_module_unload(module_);
    flagos_stream_destroy(stream_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void load() {
    flagos_module_unload(std::exchange(module_, nullptr));
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "flagos.tile";
    desc.data = request_.text.data();
    desc.size_bytes = request_.text.size();
    check(flagos_module_load(device_, &desc, &module_), request_.file);
    const std::string& name = request_.module->kernels()[request_.kernel].name;
    flagos_kernel_desc_t kernel{};
    kernel.struct_size = sizeof(kernel);
    kernel.name = name.c_str();
    check(flagos_module_get_kernel(module_, &kernel, &kernel_), name);
  }
  void launch() {
    std::vector<flagos_argument_t> arguments;
    for (const Value& value : request_.values) {
      flagos_argument_t argument{};
      argument.dtype = value.is_array ? flagos_dtype_t{FLAGOS_DTYPE_ADDRESS} : value.dtype;
      argument.value = value.is_array ? memory_.at(&value) : value.bits;
      arguments.push_back(argument);
    }
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof(desc);
    std::copy(request_.grid.begin(), request_.grid.end(), desc.grid);
    std::fill_n(desc.block, 3, 1u);
    desc.arguments = arguments.data();
    desc.argument_count = static_cast<std::uint32_t>(arguments.size());
    check(flagos_kernel_launch(stream_, kernel_, &desc), "the launch");
  }
  double first_load_us() const { return first_load_us_; }
  void wait() { check(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE), "the kernel"); }
  void download(Value& value) {
    if (value.array.data.empty()) return;
    check(flagos_memory_copy(stream_, reinterpret_cast<flagos_address_t>(value.array.data.data()),
                             memory_.at(&value), value.array.data.size()),
          value.name);
    wait();
  }

 private:
  Session(Request& request, const DeviceOwner& device) : device_(device), request_(request) {}
  void upload(Value& value) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = value.array.data.size();
    flagos_address_t address = 0;
    check(flagos_memory_alloc(device_, &desc, &address),
          fmt::format("memory for '{}'", value.name));
    memory_[&value] = address;
    if (value.array.data.empty()) return;
    check(flagos_memory_copy(stream_, address,
                             reinterpret_cast<flagos_address_t>(value.array.data.data()),
                             value.array.data.size()),
          value.name);
    wait();
  }

  const DeviceOwner& device_;
  Request& request_;
  flagos_stream_t* stream_ = nullptr;
  flagos_module_t* module_ = nullptr;
  flagos_kernel_t* kernel_ = nullptr;
  double first_load_us_ = 0;
  std::map<const Value*, flagos_address_t> memory_;
};

void interpret(Request& request) {
  std::vector<flagos_tile_argument_t> arguments;
  for (Value& value : request.values) {
    if (value.is_array)
      arguments.push_back(
          {reinterpret_cast<std::uintptr_t>(value.array.data.data()), value.array.data.size()});
    else
      arguments.push_back({value.bits, 0});
  }
  flagos_tile_interpret_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kernel = request.kernel;
  std::copy(request.grid.begin(), request.grid.end(), desc.grid);
  desc.arguments = arguments.data();
  desc.argument_count = static_cast<std::uint32_t>(arguments.size());
  desc.argument_stride = sizeof(flagos_tile_argument_t);
  desc.on_report = [](void*, const flagos_tile_report_t* report) {
    fmt::print(stderr, "program {},{},{}: {}\n", report->program[0], report->program[1],
               report->program[2], report->text);
  };
  compiler().expect(compiler().module_interpret(request.module->get(), &desc));
}

Value& output_of(Request& request, const std::string& name) {
  for (Value& value : request.values)
    if (value.name == name && value.is_array) return value;
  throw UsageError(fmt::format("--output: the kernel has no array '{}'", name));
}

double median(std::vector<double>& times) {
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

}  // namespace

int run_kernel_run(const Arguments& arguments) {
  cxxopts::Options options("flagos kernel run", "Launches a kernel of a module once.");
  add_options(options);
  options.add_options()("o,output", "an array to write afterwards",
                        cxxopts::value<std::vector<std::string>>(), "NAME=FILE.npy")(
      "interpret", "on the host, by the interpreter, instead of on a device");
  const auto parsed = parse(options, arguments, {"file"});
  if (!parsed) return 0;
  const auto outputs = parse_pairs(list_of(*parsed, "output"), "--output");
  Request request = read_request(*parsed, "run");
  for (const auto& [name, file] : outputs) output_of(request, name);
  if (parsed->count("interpret") > 0) {
    interpret(request);
  } else {
    const DeviceOwner device((*parsed)["device"].as<std::string>());
    Session session(device, request);
    session.launch();
    session.wait();
    for (const auto& [name, file] : outputs) session.download(output_of(request, name));
  }
  for (const auto& [name, file] : outputs) write_npy(file, output_of(request, name).array);
  return 0;
}

int run_kernel_bench(const Arguments& arguments) {
  cxxopts::Options options("flagos kernel bench", "Measures loading and launching a kernel.");
  add_options(options);
  options.add_options()("seconds", "for how long it is launched",
                        cxxopts::value<double>()->default_value("1"), "N");
  const auto parsed = parse(options, arguments, {"file"});
  if (!parsed) return 0;
  Request request = read_request(*parsed, "bench");
  const DeviceOwner device((*parsed)["device"].as<std::string>());
  Session session(device, request);
  std::vector<double> loads;
  constexpr int load_count = 101;
  for (int i = 0; i < load_count; ++i) {
    const Clock::time_point load_start = Clock::now();
    session.load();
    loads.push_back(microseconds_since(load_start));
  }
  std::vector<double> launches;
  const Clock::time_point bench_start = Clock::now();
  const double limit_us = (*parsed)["seconds"].as<double>() * 1e6;
  do {
    const Clock::time_point launch_start = Clock::now();
    session.launch();
    session.wait();
    launches.push_back(microseconds_since(launch_start));
  } while (microseconds_since(bench_start) < limit_us);
  const double best = *std::min_element(launches.begin(), launches.end());
  fmt::print("device            {}\n", device.info().id);
  fmt::print("first load        {:.1f} us (from the cache, or compiled)\n",
             session.first_load_us());
  fmt::print("load from memory  {:.2f} us (median of {})\n", median(loads), load_count);
  fmt::print("launch and wait   {:.2f} us (median of {}), best {:.2f} us\n", median(launches),
             launches.size(), best);
  return 0;
}

}  // namespace flagos::tools
