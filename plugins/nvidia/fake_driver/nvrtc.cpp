// NVRTC, whose code generator is the host's compiler: g++ behind twin.hpp. What it made is kept in a folder of the user's,
// since the same kernels are compiled by every process of a test.
#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "plugins/nvidia/fake_driver/fake.hpp"
#include "plugins/nvidia/fake_driver/image.hpp"
#include "plugins/nvidia/fake_driver/kernel_text.hpp"

extern char** environ;

namespace flagos::nvidia {

struct _nvrtcProgram {
  std::string source, name, log, ptx;
  std::vector<char> cubin;
};

namespace fake {
namespace {

namespace fs = std::filesystem;

constexpr const char twin_text[] =
#include "twin_text.inc"
    ;
constexpr const char* begin_mark = "struct flagos_fake_source_begins;";
constexpr int architectures[] = {75, 80, 86, 89, 90};

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string hash_text(const std::string& text) {
  std::uint64_t hash[2] = {14695981039346656037u, 1099511628211u};
  for (const char c : text) {
    hash[0] = (hash[0] ^ static_cast<unsigned char>(c)) * 1099511628211u;
    hash[1] =
        (hash[1] + static_cast<unsigned char>(c)) * 6364136223846793005u + 1442695040888963407u;
  }
  char out[40];
  std::snprintf(out, sizeof(out), "%016llx%016llx", static_cast<unsigned long long>(hash[0]),
                static_cast<unsigned long long>(hash[1]));
  return out;
}

// A folder of this process, which goes with what is in it.
struct Folder {
  std::string path = fs::temp_directory_path().string() + "/fake-nvrtc-XXXXXX";
  Folder() {
    if (mkdtemp(path.data()) == nullptr) path.clear();
  }
  ~Folder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

fs::path cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') return fs::path(cache) / "flagos/fake-nvrtc";
  if (home != nullptr && *home == '/') return fs::path(home) / ".cache/flagos/fake-nvrtc";
  return {};
}

// Whether it ended well; what it wrote to stderr is added to `log`.
bool run(const std::vector<std::string>& words, const std::string& folder, std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string said = folder + "/said";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    log += words[0] + ": " + std::strerror(error) + "\n";
    return false;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  log += read_text(said);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// The kernels' names stand in the first lines of the file that is kept beside the object.
bool compile_text(const std::string& whole, const std::vector<std::string>& defines,
                  std::string& log, std::vector<char>& out_object,
                  std::vector<std::string>& out_kernels) {
  const Folder folder;
  const std::string in = folder.path + "/in.cpp", flat = folder.path + "/flat.cpp",
                    unit = folder.path + "/unit.cpp", object = folder.path + "/unit.so";
  std::ofstream(in) << whole;
  std::vector<std::string> words = {"g++", "-E", "-std=c++20", "-w", in, "-o", flat};
  words.insert(words.end(), defines.begin(), defines.end());
  if (!run(words, folder.path, log)) return false;
  const std::string text = read_text(flat);
  const std::size_t begins = text.find(begin_mark) + std::strlen(begin_mark);
  const KernelText made = translate(std::string_view(text).substr(begins));
  std::ofstream(unit) << text.substr(0, begins) << made.text;
  if (!run(
          {"g++", "-x", "c++", "-std=c++20", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden",
           "-fwrapv", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-math-errno",
           "-fno-exceptions", "-fno-rtti", "-ftemplate-depth=4096", unit, "-o", object},
          folder.path, log))
    return false;
  const std::string bytes = read_text(object);
  out_object.assign(bytes.begin(), bytes.end());
  out_kernels = made.kernels;
  return true;
}

bool read_kept(const fs::path& path, std::vector<char>& out_object,
               std::vector<std::string>& out_kernels) {
  const std::string bytes = read_text(path);
  const std::size_t end = bytes.find("\n\n");
  if (end == std::string::npos) return false;
  for (std::size_t at = 0; at < end;) {
    const std::size_t line = bytes.find('\n', at);
    out_kernels.push_back(bytes.substr(at, line - at));
    at = line + 1;
  }
  out_object.assign(bytes.begin() + static_cast<std::ptrdiff_t>(end) + 2, bytes.end());
  return true;
}

void keep(const fs::path& path, const std::vector<char>& object,
          const std::vector<std::string>& kernels) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  const std::string part =
      path.string() + "." + std::to_string(getpid()) + "." + std::to_string(now_ns());
  {
    std::ofstream file(part, std::ios::binary);
    for (const std::string& name : kernels) file << name << '\n';
    file << (kernels.empty() ? "\n\n" : "\n");
    file.write(object.data(), static_cast<std::streamsize>(object.size()));
    if (!file) return;
  }
  fs::rename(part, path, ignored);
}

// One process at a time makes what `path` is to hold: the others have it when they come in. What is made must stand there
// before this ends.
class Turn {
 public:
  explicit Turn(const fs::path& path) : path_(path.string() + ".lock") {
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    fd_ = open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Turn() {
    if (fd_ < 0) return;
    unlink(path_.c_str());
    close(fd_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  const std::string path_;
  int fd_ = -1;
};

// "-arch=sm_80", "--gpu-architecture=compute_90": the target, and whether it is a real one.
bool read_target(const std::string& option, std::string& out_target) {
  for (const char* name : {"--gpu-architecture=", "-arch=", "-gpu-architecture="})
    if (option.rfind(name, 0) == 0) {
      out_target = option.substr(std::strlen(name));
      return true;
    }
  return false;
}

bool is_known_option(const std::string& option) {
  for (const char* known :
       {"--std=", "-std=", "-lineinfo", "--generate-line-info", "-G",
        "--maxrregcount=", "--fmad=", "--use_fast_math", "-minimal", "--minimal", "-default-device",
        "--modify-stack-limit=", "-w", "--ptxas-options=", "-I",
        "--prec-div=", "--prec-sqrt=", "--ftz=", "--no-cache"})
    if (option.rfind(known, 0) == 0) return true;
  return false;
}

nvrtcResult compile(_nvrtcProgram& program, int count, const char* const* options) {
  std::string target = "compute_75";
  std::vector<std::string> defines;
  for (int i = 0; i < count; ++i) {
    const std::string option = options[i];
    if (option.rfind("-D", 0) == 0) {
      defines.push_back(option);
    } else if (!read_target(option, target) && !is_known_option(option)) {
      program.log = "nvrtc: error: unrecognized option " + option + " found\n";
      return NVRTC_ERROR_INVALID_OPTION;
    }
  }
  const bool is_real = target.rfind("sm_", 0) == 0;
  const int number = std::atoi(target.c_str() + (is_real                            ? 3
                                                 : target.rfind("compute_", 0) == 0 ? 8
                                                                                    : 0));
  if (std::find(std::begin(architectures), std::end(architectures), number) ==
      std::end(architectures)) {
    program.log = "nvrtc: error: invalid value for --gpu-architecture (-arch): " + target + "\n";
    return NVRTC_ERROR_INVALID_OPTION;
  }
  const std::string before =
      std::string(twin_text) + begin_mark + "\n#line 1 \"" + program.name + "\"\n";
  const std::string whole = before + program.source;
  // Tests change bytes of a source to see what comes of it; most of them lie in comments.
  std::string key = before + without_comments(program.source);
  for (const std::string& define : defines) key += "\n" + define;
  std::vector<char> object;
  std::vector<std::string> kernels;
  const fs::path folder = cache_folder(), kept = folder / hash_text(key);
  if (folder.empty()) {
    if (!compile_text(whole, defines, program.log, object, kernels)) return NVRTC_ERROR_COMPILATION;
  } else if (!read_kept(kept, object, kernels)) {
    const Turn turn(kept);
    if (!read_kept(kept, object, kernels)) {
      if (!compile_text(whole, defines, program.log, object, kernels))
        return NVRTC_ERROR_COMPILATION;
      keep(kept, object, kernels);
    }
  }
  std::vector<char> cubin = make_cubin(std::move(object));
  program.ptx = make_ptx(cubin, "sm_" + std::to_string(number), kernels);
  if (is_real) program.cubin = std::move(cubin);
  return NVRTC_SUCCESS;
}

}  // namespace
}  // namespace fake
}  // namespace flagos::nvidia

using namespace flagos::nvidia;

FAKE_EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) try {
  *major = 12;
  *minor = 8;
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC

FAKE_EXPORT const char* nvrtcGetErrorString(nvrtcResult result) {
  switch (result) {
    case NVRTC_SUCCESS:
      return "NVRTC_SUCCESS";
    case NVRTC_ERROR_OUT_OF_MEMORY:
      return "NVRTC_ERROR_OUT_OF_MEMORY";
    case NVRTC_ERROR_INVALID_OPTION:
      return "NVRTC_ERROR_INVALID_OPTION";
    case NVRTC_ERROR_COMPILATION:
      return "NVRTC_ERROR_COMPILATION";
    default:
      return "NVRTC_ERROR unknown";
  }
}

FAKE_EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int* count) try {
  *count = static_cast<int>(std::size(fake::architectures));
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC

FAKE_EXPORT nvrtcResult nvrtcGetSupportedArchs(int* all) try {
  std::copy(std::begin(fake::architectures), std::end(fake::architectures), all);
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC

FAKE_EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source,
                                           const char* name, int, const char* const*,
                                           const char* const*) try {
  if (fake::begin("nvrtcCreateProgram") != CUDA_SUCCESS) return NVRTC_ERROR_OUT_OF_MEMORY;
  *program = new _nvrtcProgram;
  (*program)->source = source;
  (*program)->name = name != nullptr ? name : "default_program";
  fake::count_object(1);
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC

FAKE_EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) try {
  fake::count_object(-1);
  delete *program;
  *program = nullptr;
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC

FAKE_EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count,
                                            const char* const* options) try {
  if (fake::begin("nvrtcCompileProgram") != CUDA_SUCCESS) return NVRTC_ERROR_OUT_OF_MEMORY;
  return fake::compile(*program, count, options);
}
FAKE_CATCH_NVRTC

FAKE_EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, std::size_t* size) try {
  *size = program->log.size() + 1;
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC
FAKE_EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) try {
  std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC
FAKE_EXPORT nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, std::size_t* size) try {
  *size = program->ptx.size() + 1;
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC
FAKE_EXPORT nvrtcResult nvrtcGetPTX(nvrtcProgram program, char* ptx) try {
  std::memcpy(ptx, program->ptx.c_str(), program->ptx.size() + 1);
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC
FAKE_EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, std::size_t* size) try {
  *size = program->cubin.size();
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC
FAKE_EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) try {
  std::memcpy(cubin, program->cubin.data(), program->cubin.size());
  return NVRTC_SUCCESS;
}
FAKE_CATCH_NVRTC
