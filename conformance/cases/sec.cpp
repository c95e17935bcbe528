// What a plugin must not do to the machine that it runs on: code that can be written, the network, other programs, files
// in other places.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "conformance/cases/elf_file.hpp"
#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/module_support.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

namespace fs = std::filesystem;

// A little of everything that needs no other process.
void use_the_device(Context& t) {
  t.smoke();
  Stream stream(t);
  Event event(t);
  Words words(t, 64, 1);
  affine(t, stream, words, 3, 4);
  t.ok(flagos_event_record(event, stream), "record");
  t.ok(flagos_event_synchronize(event, patience_ns), "wait for the event");
  stream.synchronize();
  t.equal(words.first(), 7, "the word");
}

// ---- code ------------------------------------------------------------------------------------------------------------

struct Mapping {
  std::string access, path;
};

std::vector<Mapping> mappings() {
  std::ifstream file("/proc/self/maps");
  std::vector<Mapping> found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string range, offset, device, inode;
    Mapping mapping;
    words >> range >> mapping.access >> offset >> device >> inode;
    std::getline(words >> std::ws, mapping.path);
    found.push_back(mapping);
  }
  return found;
}

// Compilers on the device's side may make code in memory; what is mapped of files may not be written in any case.
FLAGOS_HELPER("sec_writable_code") {
  return run_checks(h, [](Context& t) {
    use_the_device(t);
    const bool may_make_code = t.has(FLAGOS_FEATURE_COMPILE);
    const auto all = mappings();
    t.check(all.size() > 10, "the mappings of this process");
    for (const Mapping& mapping : all) {
      if (mapping.access.find('w') == std::string::npos ||
          mapping.access.find('x') == std::string::npos)
        continue;
      const bool of_a_file = mapping.path.starts_with('/') && mapping.path.ends_with(".so");
      t.check(may_make_code && !of_a_file,
              "no memory is writable and executable, found " + mapping.access + " " + mapping.path);
    }
  });
}

// ---- system calls ------------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
constexpr std::uint32_t this_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t this_architecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t this_architecture = 0;
#endif

// From here on a process that calls this, with a first argument among `arguments` where there are any, is ended by SIGSYS.
bool forbid(long call, const std::vector<std::uint32_t>& arguments = {}) {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, this_architecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  if (!arguments.empty()) {
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
    for (const std::uint32_t argument : arguments) {
      program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 0, 1));
      program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  } else {
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  }
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return this_architecture != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

constexpr int no_filter = 77;

FLAGOS_HELPER("sec_no_socket") {
  if (!forbid(SYS_socket, {AF_INET, AF_INET6, AF_PACKET})) return no_filter;
  return run_checks(h, use_the_device);
}

FLAGOS_HELPER("sec_no_process") {
  // Text is compiled by whatever the plugin compiles with, once; then all is there.
  if (h.arguments.at(0) == "text") {
    const int code = run_checks(h, use_the_device);
    if (code != 0) return code;
  }
  if (!forbid(SYS_execve) || !forbid(SYS_execveat)) return no_filter;
#if defined(SYS_fork)
  if (!forbid(SYS_fork) || !forbid(SYS_vfork)) return no_filter;
#endif
  return run_checks(h, use_the_device);
}

// That the filter works, and the suite would see what it looks for.
FLAGOS_HELPER("sec_socket") {
  if (!forbid(SYS_socket, {AF_INET})) return no_filter;
  return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 3 : 4;
}

void expect_within_filter(Context& t, const std::string& name,
                          const std::vector<std::string>& arguments, const std::string& what) {
  std::string text;
  const int proof = t.run_helper("sec_socket", {}, 60, &text);
  if (proof == no_filter) t.resource("system calls cannot be filtered here");
  t.equal(static_cast<std::uint64_t>(proof), 1000 + SIGSYS, "a filter ends who makes a socket");
  const int code = t.run_helper(name, arguments, 90, &text);
  t.check(code != 1000 + SIGSYS, what);
  t.check(code == 0,
          "the process ends with 0, it ended with " + std::to_string(code) + ": " + text);
}

// ---- files -------------------------------------------------------------------------------------------------------------

// A process that finds everything it may write to in one folder, with the work directory apart.
FLAGOS_HELPER("sec_files") {
  const fs::path folder = h.arguments.at(0);
  for (const char* const variable : {"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
                                     "POCL_CACHE_DIR", "MESA_SHADER_CACHE_DIR"})
    unsetenv(variable);
  setenv("HOME", (folder / "home").c_str(), 1);
  setenv("TMPDIR", (folder / "tmp").c_str(), 1);
  if (chdir((folder / "work").c_str()) != 0) return 2;
  umask(022);
  return run_checks(h, [](Context& t) {
    use_the_device(t);
    for (const int descriptor : open_descriptors()) {
      const int flags = fcntl(descriptor, F_GETFL);
      char target[4096] = {};
      const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
      if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || readlink(link.c_str(), target, 4095) < 0)
        continue;
      const std::string path = target;
      const bool is_ours = descriptor <= 2 || !path.starts_with('/') || path.starts_with("/dev/") ||
                           path.starts_with("/memfd:") || path.starts_with(getenv("HOME")) ||
                           path.starts_with(getenv("TMPDIR")) || path.starts_with("/proc/") ||
                           path.ends_with(" (deleted)");
      t.check(is_ours, "files are written in the cache and in TMPDIR, open is " + path);
    }
  });
}

class Files {
 public:
  explicit Files(Context& t) {
    char name[] = "/tmp/flagos-conformance-XXXXXX";
    if (mkdtemp(name) == nullptr) t.resource("no folder can be made in /tmp");
    folder_ = name;
    for (const char* const inner : {"home", "tmp", "work"}) fs::create_directory(folder_ / inner);
    expect_helper(t, "sec_files", {folder_.string()});
  }
  ~Files() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  std::vector<fs::path> in(const char* inner) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / inner))
      found.push_back(entry.path());
    return found;
  }
  fs::path home() const { return folder_ / "home"; }

 private:
  fs::path folder_;
};

}  // namespace

FLAGOS_CASE("sec.elf.hardening",
            {.clause = "design 5: the plugin's file", .oracle = Oracle::exact}) {
  const ElfFile file = read_elf(t.settings().plugin_path);
  t.check(file.error.empty(), file.error);
  t.check(file.position_independent, "the file may lie anywhere in memory");
  t.check(file.relro, "relocated data is read-only (RELRO)");
  t.check(!file.executable_stack, "no executable stack (NX)");
  t.check(!file.writable_code, "no segment is writable and executable");
  t.check(!file.text_relocations, "no relocations in code");
  t.check(
      folder_outside_of_origin(file).empty(),
      "libraries are looked for relative to the plugin, found " + folder_outside_of_origin(file));
  t.smoke();
}

FLAGOS_CASE(
    "sec.elf.writable_exec_runtime",
    {.clause = "design 5: no memory is writable and executable, unless kernels are compiled",
     .level = Level::full,
     .isolation = Isolation::multi}) {
  if (sanitized()) t.resource("a sanitizer maps memory of its own");
  expect_helper(t, "sec_writable_code");
}

FLAGOS_CASE("sec.net.no_unexpected_socket",
            {.clause = "design 5: no socket of a network before a communicator",
             .isolation = Isolation::multi}) {
  expect_within_filter(t, "sec_no_socket", {}, "no socket of a network is made");
}

FLAGOS_CASE("sec.exec.no_child_process",
            {.clause = "design 5: no other program is started once kernels are compiled",
             .isolation = Isolation::multi}) {
  const bool text = !is_binary(t.module_image(nullptr));
  expect_within_filter(t, "sec_no_process", {text ? "text" : "binary"}, "no program is started");
}

FLAGOS_CASE("sec.fs.write_scope",
            {.clause = "design 5: files only in caches and TMPDIR, for the user alone",
             .isolation = Isolation::multi}) {
  const Files files(t);
  t.check(files.in("work").empty(), "the work directory stays empty");
  for (const char* const inner : {"home", "tmp"}) {
    for (const fs::path& path : files.in(inner)) {
      struct stat found {};
      if (lstat(path.c_str(), &found) != 0 || S_ISLNK(found.st_mode)) continue;
      t.check((found.st_mode & S_IWOTH) == 0, "nobody else may write to " + path.string());
    }
  }
}

FLAGOS_CASE("sec.fs.no_home_dotfiles", {.clause = "design 5: nothing in HOME but a cache",
                                        .level = Level::full,
                                        .isolation = Isolation::multi}) {
  const Files files(t);
  for (const auto& entry : fs::directory_iterator(files.home())) {
    const std::string name = entry.path().filename();
    t.check(name == ".cache", "HOME gets no " + name);
  }
  t.check(fs::exists(files.home()), "HOME is still there");
}

}  // namespace flagos::conformance
