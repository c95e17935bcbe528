/* Stands for a vendor's library at link time; it is not there at run time. */
void flagos_test_vendor_function(void);
void flagos_test_vendor_function(void) {}
