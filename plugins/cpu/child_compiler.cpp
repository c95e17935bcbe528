#include "plugins/cpu/child_compiler.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>

#include "base/elf.hpp"
#include "plugins/cpu/child_process.hpp"
#include "plugins/cpu/module.hpp"
#include "plugins/cpu/processor.hpp"

namespace flagos::cpu {
namespace {

namespace fs = std::filesystem;

constexpr const char* usual_path = "/usr/local/bin:/usr/bin:/bin";
constexpr const char* source_name = "kernels.cc";
constexpr const char* unit_name = "kernels.o";
constexpr const char* object_name = "kernels.so";
constexpr std::uintmax_t largest_object = std::uintmax_t{256} << 20;

// In the order in which they are tried, first by folder of PATH.
constexpr std::string_view candidates[] = {"clang",    "clang-19", "clang-18", "clang-17",
                                           "clang-16", "clang-15", "clang-14", "g++",
                                           "g++-14",   "g++-13",   "g++-12"};
constexpr int oldest_clang = 14;
constexpr int oldest_gcc = 12;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    if (end != at) parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

bool is_program(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

std::string find_in(const std::string& search, std::string_view name) {
  for (const std::string& folder : split(search, ':')) {
    // A relative folder would make the answer depend on where the process stands.
    const std::string path = fmt::format("{}/{}", folder, name);
    if (folder.starts_with('/') && is_program(path)) return path;
  }
  return {};
}

bool names_clang(const std::string& resolved) {
  return fs::path(resolved).filename().string().find("clang") != std::string::npos;
}

int leading_number(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The major version: from ".../llvm-14/bin/clang" and "...-g++-12", which costs nothing, else asked.
int major_version(const std::string& path, const std::string& resolved) {
  for (const std::string_view mark : {"llvm-", "clang-", "g++-", "gcc-"}) {
    const std::size_t at = resolved.rfind(mark);
    const int number = at == std::string::npos
                           ? 0
                           : leading_number(std::string_view(resolved).substr(at + mark.size()));
    if (number > 0) return number;
  }
  const ChildEnding ending =
      run_child({path, "-dumpversion"}, {"LC_ALL=C"}, "/", std::chrono::seconds(5));
  return ending.succeeded() ? leading_number(ending.output) : 0;
}

// Has a folder for the compiler's files; nobody else can read it, and it goes with the object.
class PrivateFolder {
 public:
  explicit PrivateFolder(const std::string& above) : path_(above + "/flagos-cc-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr)
      throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
                  "no temporary folder for the compiler in '{}' (TMPDIR): {}", above,
                  std::strerror(errno));
  }
  ~PrivateFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

void write_source(const std::string& path, std::string_view source) {
  std::ofstream file(path, std::ios::binary);
  file.write(source.data(), static_cast<std::streamsize>(source.size()));
  file.close();
  if (!file)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "no room for {} bytes of source in '{}': {}",
                source.size(), path, std::strerror(errno));
}

bool is_full_disk(std::string_view log) {
  return log.find("No space left on device") != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \n") + 1);
}

[[noreturn]] void refuse(const std::string& path, const ChildEnding& ending,
                         std::chrono::seconds limit) {
  if (ending.start_error != 0)
    throw CompileError(fmt::format("the compiler '{}' cannot be started: {}", path,
                                   std::strerror(ending.start_error)),
                       std::strerror(ending.start_error));
  if (ending.timed_out)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
                "the compiler '{}' did not end in {} s (FLAGOS_CPU_COMPILE_SECONDS) and was killed",
                path, limit.count());
  if (ending.signal != 0)
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the compiler '{}' was ended by signal {}: {:.600}",
                path, ending.signal, ending.output);
  if (is_full_disk(ending.output))
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES,
                "the compiler '{}' found no room on the disk: {:.600}", path, ending.output);
  throw CompileError(fmt::format("the compiler '{}' exited with code {}: {:.600}", path,
                                 ending.exit_code, trimmed(ending.output)),
                     ending.output);
}

// What it wrote, if that is a whole shared object.
Image read_object(const std::string& compiler, const std::string& path, const std::string& log) {
  const auto refuse_object = [&](std::string_view what) {
    throw CompileError(fmt::format("the compiler '{}' ended well and wrote {}", compiler, what),
                       log);
  };
  std::error_code error;
  const std::uintmax_t size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
  if (error || size == 0) refuse_object("no object");
  if (size > largest_object) refuse_object(fmt::format("an object of {} bytes", size));
  Image image(size);
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(image.data()), static_cast<std::streamsize>(size)))
    refuse_object("what cannot be read");
  try {
    read_elf_library(image);
  } catch (const Error& fault) {
    refuse_object(fmt::format("{} bytes that are no object: {}", size, fault.what()));
  }
  return image;
}

bool has_text(std::string_view source) {
  return std::none_of(source.begin(), source.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f' &&
           byte != '\v';
  });
}

}  // namespace

std::string ChildCompiler::text_of(const char* name, const char* fallback) const {
  const std::string_view value = host_.get_config(name);
  return value.empty() ? fallback : std::string(value);
}

bool ChildCompiler::use(const std::string& path, bool named) {
  std::error_code error;
  const std::string resolved = fs::canonical(path, error).string();
  is_clang_ = names_clang(resolved);
  // A wrapper that keeps results answers for some compiler, whose version it does not show.
  if (!named && (error || fs::path(resolved).filename() == "ccache" ||
                 major_version(path, resolved) < (is_clang_ ? oldest_clang : oldest_gcc)))
    return false;
  path_ = path;
  struct stat status {};
  stat(path.c_str(), &status);
  identity_ = fmt::format("{} {} {}.{}", error ? path : resolved, status.st_size,
                          status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  return true;
}

void ChildCompiler::find() {
  isa_ = probe_isa();
  search_ = text_of("PATH", usual_path);
  limit_ = std::chrono::seconds(host_.get_count("FLAGOS_CPU_COMPILE_SECONDS", 60, 3600));
  const std::string named = text_of("FLAGOS_CC", "");
  if (named == "none" || isa_.empty()) return;
  if (!named.empty()) {
    const std::string found =
        named.find('/') == std::string::npos ? find_in(search_, named) : named;
    use(found.empty() ? named : found, true);
    return;
  }
  for (const std::string_view candidate : candidates) {
    const std::string path = find_in(search_, candidate);
    if (path.empty() || !use(path, false)) continue;
    linker_ = find_in(search_, "ld");
    return;
  }
}

bool ChildCompiler::is_there() {
  std::call_once(once_, [this] { find(); });
  return !path_.empty();
}

const std::string& ChildCompiler::identity() {
  is_there();
  return identity_;
}

const std::string& ChildCompiler::isa() {
  is_there();
  return isa_;
}

std::vector<std::string> ChildCompiler::command(std::string_view options, bool links) const {
  std::string optimize = "-O1";
  std::string isa = isa_;
  bool debug = false;
  for (const std::string& option : split(options, ' ')) {
    if (option.starts_with("optimize=") && option.size() == 10 && option[9] >= '0' &&
        option[9] <= '3')
      optimize = fmt::format("-O{}", option[9]);
    else if (option.starts_with("isa=") && !march_of(option.substr(4)).empty())
      isa = option.substr(4);
    else if (option == "debug")
      debug = true;
    else
      throw_error(
          FLAGOS_STATUS_INVALID_ARGUMENT,
          "option '{}': {} takes optimize=0 to optimize=3, isa=x86-64-v2 and the like, and debug",
          option, source_format);
  }
  // No fast-math: what differs from it are rules that no kernel can see (errno, traps). Integers wrap, and scratch
  // memory holds one type after the other.
  std::vector<std::string> words = {path_,
                                    "-x",
                                    "c++",
                                    "-std=gnu++17",
                                    optimize,
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-ffp-contract=fast",
                                    "-fno-strict-aliasing",
                                    "-fwrapv",
                                    "-fPIC",
                                    "-fno-exceptions",
                                    "-fno-rtti",
                                    "-fno-stack-protector",
                                    "-fno-asynchronous-unwind-tables",
                                    "-fvisibility=hidden",
                                    "-Wno-psabi"};
  if (!is_clang_)
    words.push_back("-fexpensive-optimizations");  // at -O1 gcc makes no multiply-adds without it
  words.push_back("-march=" + march_of(isa));
  if (debug) words.push_back("-g");
  if (links)
    words.insert(words.end(), {"-shared", "-nostdlib", "-Wl,-z,now", "-Wl,--build-id=none"});
  else
    words.push_back("-c");
  words.insert(words.end(), {"-o", links ? object_name : unit_name, source_name});
  return words;
}

ChildEnding ChildCompiler::run(const std::vector<std::string>& words,
                               const std::string& folder) const {
  return run_child(words, {"PATH=" + search_, "LC_ALL=C", "TMPDIR=" + folder, "HOME=" + folder},
                   folder, limit_);
}

bool ChildCompiler::compile_and_link(std::string_view options, const std::string& folder,
                                     ChildEnding& ending) const {
  ending = run(command(options, false), folder);
  if (!ending.succeeded()) return true;  // what is wrong with the source is said once
  return run({linker_, "-shared", "-z", "now", "--build-id=none", "-o", object_name, unit_name},
             folder)
      .succeeded();
}

Compiled ChildCompiler::compile(std::string_view source, std::string_view options) {
  if (!is_there())
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "there is no C++ compiler on this machine");
  if (!has_text(source))
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "{} is text: the image has control characters",
                source_format);
  const PrivateFolder folder(text_of("TMPDIR", "/tmp"));
  write_source(folder.path() + "/" + source_name, source);
  ChildEnding ending;
  if (linker_.empty() || !compile_and_link(options, folder.path(), ending))
    ending = run(command(options, true), folder.path());
  if (!ending.succeeded()) refuse(path_, ending, limit_);
  Compiled compiled;
  compiled.log = ending.output;
  compiled.image = read_object(path_, folder.path() + "/" + object_name, ending.output);
  return compiled;
}

}  // namespace flagos::cpu
