// env.json: the machine that a run was made on. Nothing that names a person or a host.
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <gnu/libc-version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "conformance/report.hpp"

namespace flagos::conformance {
namespace {

using nlohmann::json;

// The value behind "<key><separator>" in a file of lines, without quotes; "" when there is none.
std::string value_in_file(const char* path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t end = line.find(separator);
    if (end == std::string::npos || line.compare(0, key.size(), key) != 0) continue;
    std::string value = line.substr(end + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '"')) value.erase(0, 1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '"')) value.pop_back();
    return value;
  }
  return "";
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

json variables() {
  json object = json::object();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    const bool ours = text.starts_with("FLAGOS_") || text.starts_with("OMP_") ||
                      text.starts_with("ASAN_OPTIONS=") || text.starts_with("TSAN_OPTIONS=") ||
                      text.starts_with("UBSAN_OPTIONS=");
    if (ours && equals != std::string::npos) {
      object[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  return object;
}

const char* sanitizer() {
#if defined(__SANITIZE_ADDRESS__)
  return "address";
#elif defined(__SANITIZE_THREAD__)
  return "thread";
#else
  return "";
#endif
}

}  // namespace

json describe_environment() {
  utsname system{};
  uname(&system);
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_size = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return {{"system", value_in_file("/etc/os-release", "PRETTY_NAME", '=')},
          {"kernel", std::string(system.sysname) + " " + system.release},
          {"architecture", system.machine},
          {"libc", std::string("glibc ") + gnu_get_libc_version()},
          {"compiler", __VERSION__},
          {"sanitizer", sanitizer()},
          {"processor", value_in_file("/proc/cpuinfo", "model name", ':')},
          {"processors", sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_bytes", pages * page_size},
          {"cgroup_memory_max", first_line("/sys/fs/cgroup/memory.max")},
          {"cgroup_cpu_max", first_line("/sys/fs/cgroup/cpu.max")},
          {"variables", variables()}};
}

}  // namespace flagos::conformance
