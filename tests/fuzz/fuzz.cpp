#include "tests/fuzz/fuzz.hpp"

#include <filesystem>
#include <fstream>

#include <unistd.h>

namespace flagos::fuzz {

const std::string& folder() {
  // The process that made it removes it, not a child that a plugin starts.
  struct Folder {
    std::string path = (std::filesystem::temp_directory_path() / "flagos_fuzz_XXXXXX").string();
    pid_t owner = getpid();
    Folder() { demand(mkdtemp(path.data()) != nullptr, "a temporary folder can be made"); }
    ~Folder() {
      std::error_code ignored;
      if (getpid() == owner) std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder made;
  return made.path;
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  demand(static_cast<bool>(file), "a temporary file can be written");
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  using namespace flagos::fuzz;
  if (*argc != 3 || std::string_view((*argv)[1]) != "--write-seeds") return 0;
  std::size_t number = 0;
  for (const std::string& seed : seeds()) {
    write_file(std::string((*argv)[2]) + "/" + std::to_string(number++), seed);
  }
  std::exit(number == 0 ? 1 : 0);
}
