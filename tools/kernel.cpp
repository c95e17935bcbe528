// flagos kernel: portable kernels on the command line. print, verify and compile are here.
#include "tools/kernel.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <sstream>
#include <thread>

namespace flagos::tools {
namespace {

namespace fs = std::filesystem;

// The one positional argument of a subcommand.
std::string file_of(const cxxopts::ParseResult& parsed, const char* command) {
  if (parsed.count("file") == 0)
    throw UsageError(
        fmt::format("kernel {} needs a file: `flagos kernel {} FILE`", command, command));
  return parsed["file"].as<std::string>();
}

void add_file(cxxopts::Options& options) {
  options.add_options("hidden")("file", "", cxxopts::value<std::string>());
  options.positional_help("FILE");
}

int run_print(const Arguments& arguments) {
  cxxopts::Options options("flagos kernel print", "Prints a module in its canonical form.");
  options.add_options()("locations", "with the author's files and lines");
  add_file(options);
  const auto parsed = parse(options, arguments, {"file"});
  if (!parsed) return 0;
  const std::string file = file_of(*parsed, "print");
  const auto module = read_module(file, read_text(file));
  const char* text = nullptr;
  std::uint64_t size = 0;
  const bool locations = parsed->count("locations") > 0;
  compiler().expect(compiler().module_get_text(
      module->get(), locations ? FLAGOS_TILE_TEXT_FLAG_LOCATIONS : 0, &text, &size));
  std::fwrite(text, 1, size, stdout);
  return 0;
}

std::string hex(const std::array<std::uint8_t, 32>& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

int run_verify(const Arguments& arguments) {
  cxxopts::Options options("flagos kernel verify",
                           "Says what is wrong with a module, if anything.");
  add_file(options);
  const auto parsed = parse(options, arguments, {"file"});
  if (!parsed) return 0;
  const std::string file = file_of(*parsed, "verify");
  const auto module = read_module(file, read_text(file));
  for (const TileKernel& kernel : module->kernels())
    fmt::print("{}: kernel {} of {} arguments{}{}\n", file, kernel.name, kernel.parameters.size(),
               kernel.constants.empty() ? "" : ", ", kernel.constants);
  fmt::print("{}: {}\n", file, hex(module->hash()));
  return 0;
}

// ---- compile -------------------------------------------------------------------------------------

std::vector<flagos_format_info_t> formats_of(flagos_device_t* device) {
  std::uint32_t count = 0;
  check(flagos_module_get_format_count(device, &count), "asking for formats");
  std::vector<flagos_format_info_t> formats(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    formats[i].struct_size = sizeof(formats[i]);
    check(flagos_module_get_format(device, i, &formats[i]), "asking for formats");
  }
  return formats;
}

// What core lowers for on a device: the format of highest priority that is a dialect.
std::string target_of_device(const DeviceOwner& device) {
  const std::vector<std::string> dialects = dialects_of(compiler());
  std::vector<flagos_format_info_t> formats = formats_of(device);
  std::stable_sort(formats.begin(), formats.end(),
                   [](const auto& a, const auto& b) { return a.priority > b.priority; });
  for (const flagos_format_info_t& format : formats) {
    if (std::find(dialects.begin(), dialects.end(), format.name) == dialects.end()) continue;
    if (std::string_view(format.target).starts_with(format.name)) return format.target;
    return format.name;
  }
  throw CommandError(
      fmt::format("device {} takes no format that kernels are lowered to", device.info().id));
}

std::string with_isa(const std::string& target, const std::string& isa) {
  if (isa.empty()) return target;
  const std::size_t at = target.find(";isa=");
  const std::string head = target.substr(0, at);
  const std::size_t end = at == std::string::npos ? std::string::npos : target.find(';', at + 1);
  return fmt::format("{};isa={}{}", head, isa, end == std::string::npos ? "" : target.substr(end));
}

// A target of its own ("cuda-sm_90", "glsl;threads=64"), or "" for a plugin's name.
std::string own_target(const std::string& name) {
  if (name.starts_with("cuda-sm_")) return "cuda-c;isa=" + name.substr(5);
  const std::vector<std::string> dialects = dialects_of(compiler());
  const std::string dialect = name.substr(0, name.find(';'));
  return std::find(dialects.begin(), dialects.end(), dialect) != dialects.end() ? name : "";
}

void print_records(const TileModule& module, const TileSource& source) {
  for (std::uint32_t i = 0; i < module.kernels().size(); ++i) {
    const flagos_tile_launch_info_t launch = source.launch(i);
    fmt::print(stderr, "kernel {}: {} threads, {} shared bytes, {} scratch bytes\n", launch.name,
               launch.threads, launch.shared_bytes, launch.scratch_bytes);
  }
}

int emit_source(const TileModule& module, const std::string& target, const std::string& out) {
  const TileSource source(module, target);
  write_bytes(out, source.text().data(), source.text().size());
  print_records(module, source);
  return 0;
}

// The blob's own name in a pack; core looks for it there.
std::string pack_name(const TileModule& module, const std::string& plugin, std::string target) {
  std::replace_if(
      target.begin(), target.end(),
      [](char c) { return c == ';' || c == '/' || c == '=' || c == ','; }, '_');
  return fmt::format("{}.{}.{}.ftb", hex(module.hash()), plugin, target);
}

struct Blob {
  ~Blob() { flagos_blob_destroy(handle); }
  flagos_blob_t* handle = nullptr;
};

void emit_blob(const DeviceOwner& device, const TileModule& module, const std::string& text,
               const std::string& isa, const cxxopts::ParseResult& parsed, bool quiet = false) {
  const std::string target = with_isa(target_of_device(device), isa);
  const std::string options = isa.empty() ? "" : "target=" + target;
  flagos_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.format = "flagos.tile";
  desc.data = text.data();
  desc.size_bytes = text.size();
  desc.options = options.c_str();
  Blob blob;
  const flagos_status_t status = flagos_module_compile(device, &desc, &blob.handle);
  const std::string error = status == FLAGOS_STATUS_OK ? "" : flagos_last_error();
  const char* log = "";
  if (blob.handle != nullptr) check(flagos_blob_get_log(blob.handle, &log), "the compiler's log");
  // The error has the beginning of the log.
  if (*log != '\0' && error.find(log) == std::string::npos) fmt::print(stderr, "{}\n", log);
  if (status != FLAGOS_STATUS_OK) throw CommandError(error);
  const void* data = nullptr;
  std::uint64_t size = 0;
  check(flagos_blob_get_data(blob.handle, &data, &size, nullptr), "the blob");
  std::string out;
  if (parsed.count("pack") > 0) {
    const std::string folder = parsed["pack"].as<std::string>();
    std::error_code ignored;
    fs::create_directories(folder, ignored);
    const std::string id = device.info().id;
    out = folder + "/" + pack_name(module, id.substr(0, id.find(':')), target);
  } else {
    out = parsed["output"].as<std::string>();
  }
  write_bytes(out, data, size);
  if (out != "-" && !quiet) fmt::print(stderr, "{}: {} bytes for {}\n", out, size, target);
}

// A file that starts with @ lists others, one on each line.
std::vector<std::string> expand_lists(const std::vector<std::string>& given) {
  std::vector<std::string> files;
  for (const std::string& file : given) {
    if (file.front() != '@') {
      files.push_back(file);
      continue;
    }
    std::istringstream list(read_text(file.substr(1)));
    for (std::string line; std::getline(list, line);)
      if (!line.empty()) files.push_back(line);
  }
  return files;
}

// Many modules into a pack, as many at once as there are processors.
void emit_pack(const DeviceOwner& device, const std::vector<std::string>& files,
               const std::string& isa, const cxxopts::ParseResult& parsed) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::string failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size(); i = next++) {
      try {
        const std::string text = read_text(files[i]);
        emit_blob(device, *read_module(files[i], text), text, isa, parsed, true);
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        if (failure.empty()) failure = error.what();
        next = files.size();
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::max(std::thread::hardware_concurrency(), 1U); ++i)
    threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (!failure.empty()) throw CommandError(failure);
  fmt::print(stderr, "{}: {} modules\n", parsed["pack"].as<std::string>(), files.size());
}

int run_compile(const Arguments& arguments) {
  cxxopts::Options options("flagos kernel compile",
                           "Compiles a module ahead of time, or prints what is compiled.");
  options.add_options()(
      "target",
      "a plugin or device (cpu, opencl:0), cuda-sm_90, or a target such as 'glsl;threads=64'",
      cxxopts::value<std::string>(),
      "TARGET")("isa", "another instruction set of the target, such as x86-64-v2",
                cxxopts::value<std::string>()->default_value(""), "ISA")(
      "emit", "source or blob", cxxopts::value<std::string>()->default_value("blob"), "FORM")(
      "o,output", "where it goes; - is the standard output", cxxopts::value<std::string>(), "FILE")(
      "pack", "instead: a folder that FLAGOS_KERNEL_PACKS may name", cxxopts::value<std::string>(),
      "FOLDER");
  options.add_options("hidden")("file", "", cxxopts::value<std::vector<std::string>>());
  options.positional_help("FILE... (@LIST: the files that are listed in LIST)");
  const auto parsed = parse(options, arguments, {"file"});
  if (!parsed) return 0;
  if (parsed->count("file") == 0)
    throw UsageError("kernel compile needs a file: `flagos kernel compile FILE`");
  const std::vector<std::string> files =
      expand_lists((*parsed)["file"].as<std::vector<std::string>>());
  if (files.empty()) throw UsageError("kernel compile needs a file, and the list is empty");
  if (parsed->count("target") == 0) throw UsageError("kernel compile needs a --target");
  const std::string emit = (*parsed)["emit"].as<std::string>();
  if (emit != "source" && emit != "blob")
    throw UsageError(fmt::format("--emit is '{}', not source or blob", emit));
  const bool to_pack = parsed->count("pack") > 0;
  if (to_pack == (parsed->count("output") > 0))
    throw UsageError("kernel compile needs either --output or --pack");
  if (to_pack && emit == "source") throw UsageError("a pack has blobs, no source");
  const std::string name = (*parsed)["target"].as<std::string>();
  const std::string isa = (*parsed)["isa"].as<std::string>();
  if (files.size() > 1 && !to_pack)
    throw UsageError("kernel compile takes several files with --pack only");
  const std::string own = own_target(name);
  if (files.size() > 1) {
    if (!own.empty())
      throw UsageError(fmt::format("'{}' is no device here: no pack can be made", name));
    emit_pack(DeviceOwner(name), files, isa, *parsed);
    return 0;
  }
  const std::string text = read_text(files[0]);
  const auto module = read_module(files[0], text);
  if (!own.empty()) {
    if (emit == "blob")
      throw UsageError(fmt::format("'{}' is no device here: only --emit source can be done", name));
    return emit_source(*module, with_isa(own, isa), (*parsed)["output"].as<std::string>());
  }
  const DeviceOwner device(name);
  if (emit == "source")
    return emit_source(*module, with_isa(target_of_device(device), isa),
                       (*parsed)["output"].as<std::string>());
  emit_blob(device, *module, text, isa, *parsed);
  return 0;
}

void print_kernel_help() {
  fmt::print(
      "usage: flagos kernel COMMAND FILE [ARGUMENTS]\n\n"
      "  print    the module in its canonical form\n"
      "  verify   what is wrong with it\n"
      "  compile  ahead of time for a device, or the source that is compiled\n"
      "  run      one launch, with arrays from .npy files\n"
      "  bench    how long compiling, loading and launching take\n\n"
      "`flagos kernel COMMAND --help` tells more about one. FILE - is the standard input.\n");
}

}  // namespace

std::string read_text(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  if (fs::is_directory(path)) throw CommandError(fmt::format("'{}' is a folder", path));
  std::ifstream file(path, std::ios::binary);
  if (!file) throw CommandError(fmt::format("'{}' cannot be read: {}", path, std::strerror(errno)));
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::string& path, const void* data, std::size_t size) {
  if (path == "-") {
    std::fwrite(data, 1, size, stdout);
    return;
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  file.close();
  if (!file)
    throw CommandError(fmt::format("'{}' cannot be written: {}", path, std::strerror(errno)));
}

const CompilerLibrary& compiler() {
  return open_compiler(reinterpret_cast<const void*>(&run_kernel));
}

std::unique_ptr<TileModule> read_module(const std::string& path, const std::string& text) {
  // First for its diagnostics: all of them, each with its line.
  struct Said {
    const std::string& path;
    int count = 0;
  } said{path};
  flagos_tile_module_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.text = text.data();
  desc.size_bytes = text.size();
  desc.context = &said;
  desc.on_diagnostic = [](void* context, const flagos_tile_diagnostic_t* diagnostic) {
    auto& to = *static_cast<Said*>(context);
    ++to.count;
    fmt::print(stderr, "{}:{}:{}: {}\n", to.path, diagnostic->line, diagnostic->column,
               diagnostic->reason);
    if (*diagnostic->author_file != '\0')
      fmt::print(stderr, "{}:{}: written here\n", diagnostic->author_file, diagnostic->author_line);
  };
  flagos_tile_module_t* module = nullptr;
  if (compiler().module_create(&desc, &module) != FLAGOS_STATUS_OK)
    throw CommandError(
        said.count > 0
            ? fmt::format("{}: {} found", path,
                          said.count == 1 ? "one fault" : fmt::format("{} faults", said.count))
            : fmt::format("{}: {}", path, compiler().last_error()));
  compiler().module_destroy(module);
  return std::make_unique<TileModule>(compiler(), text);
}

void check(flagos_status_t status, const std::string& what) {
  if (status != FLAGOS_STATUS_OK)
    throw CommandError(fmt::format("{}: {}", what, flagos_last_error()));
}

DeviceOwner::DeviceOwner(const std::string& name) : runtime_(0) {
  std::uint32_t count = 0;
  check(flagos_device_get_count(runtime_, &count), "asking for devices");
  std::vector<std::string> ids;
  for (std::uint32_t i = 0; i < count; ++i) {
    info_ = {};
    info_.struct_size = sizeof(info_);
    check(flagos_device_describe(runtime_, i, &info_), "asking for devices");
    const std::string id = info_.id;
    if (id == name || id.substr(0, id.find(':')) == name) {
      check(flagos_device_open(runtime_, i, &device_), id);
      return;
    }
    ids.push_back(id);
  }
  throw CommandError(fmt::format("there is no device '{}'; there are: {}", name,
                                 ids.empty() ? "none" : fmt::format("{}", fmt::join(ids, ", "))));
}

DeviceOwner::~DeviceOwner() { flagos_device_close(device_); }

int run_kernel(const Arguments& arguments) {
  static const std::vector<std::pair<std::string, int (*)(const Arguments&)>> all = {
      {"print", run_print},
      {"verify", run_verify},
      {"compile", run_compile},
      {"run", run_kernel_run},
      {"bench", run_kernel_bench}};
  if (arguments.empty())
    throw UsageError("kernel needs a command: print, verify, compile, run or bench");
  if (arguments.front() == "--help" || arguments.front() == "-h") {
    print_kernel_help();
    return 0;
  }
  for (const auto& [name, run] : all)
    if (arguments.front() == name) return run({arguments.begin() + 1, arguments.end()});
  throw UsageError(
      fmt::format("kernel has no command '{}'; there are print, verify, compile, run, bench",
                  arguments.front()));
}

}  // namespace flagos::tools
