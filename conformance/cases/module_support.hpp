// What the cases on modules share: an owner, the suite's image with changes, and kernels that tell
// which module ran.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "conformance/cases/work.hpp"

namespace flagos::conformance {

flagos_format_info_t format_info(Context& t, const std::string& format);
flagos_module_desc_t module_desc(const std::string& format,
                                 std::span<const std::uint8_t> image);  // borrows both
flagos_kernel_desc_t kernel_desc(const char* name);

class Module {
 public:
  Module(Context& t, const std::string& format, std::span<const std::uint8_t> image);
  Module(Context& t, flagos_module_t* module) : t_(t), module_(module) {}
  ~Module() { flagos_module_unload(module_); }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  operator flagos_module_t*() const { return module_; }
  flagos_kernel_t* kernel(const std::string& name);

 private:
  Context& t_;
  flagos_module_t* module_ = nullptr;
};

// Runs a kernel that writes four words, or the sixteen letters of its module's marker.
std::vector<std::uint32_t> run_reader(Context& t, flagos_kernel_t* kernel);
std::string run_marker(Context& t, flagos_kernel_t* kernel);
void check_module_works(Context& t, Module& module);

// The image with another number in its marker.
std::vector<std::uint8_t> with_marker(Context& t, std::vector<std::uint8_t> image,
                                      const std::string& digits);

// Loads the image on a device, runs the marker kernel and compares; OK, or what went wrong.
flagos_status_t run_marker_on(flagos_device_t* device, const std::string& format,
                              std::span<const std::uint8_t> image);

// Tries to load an image that may be broken: gives the status, and unloads what was loaded.
// `out_works` says whether a loaded module still computes what it should.
flagos_status_t try_load(Context& t, const std::string& format, std::span<const std::uint8_t> image,
                         bool* out_works = nullptr);

// An image in a binary format of known magic, as against source text.
bool is_elf(const std::vector<std::uint8_t>& image);
bool is_spirv(const std::vector<std::uint8_t>& image);
bool is_binary(const std::vector<std::uint8_t>& image);

}  // namespace flagos::conformance
